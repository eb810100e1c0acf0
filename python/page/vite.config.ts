import { fileURLToPath } from "node:url";
import { licences } from "./licences.ts";
import { defineConfig } from "vite";

// Everything is bundled: the page fetches nothing but its own server's answers. The folder is part of the Python package.
export default defineConfig({
  base: "./",
  resolve: { alias: [{ find: /^numcodecs\/.*$/, replacement: fileURLToPath(new URL("src/no-codecs.ts", import.meta.url)) }] },
  build: {
    outDir: "../albench/annotate/page",
    emptyOutDir: true,
    sourcemap: false,
    target: "es2022",
    modulePreload: { polyfill: false },
    // One viewer, in a file of its own.
    chunkSizeWarningLimit: 3000,
  },
  plugins: [licences()],
});
