import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";

/** Packages that come without the text of their licence: it is kept here, from their repositories. */
const KEPT: Record<string, string> = { "@niivue/niivue": fileURLToPath(new URL("licences/niivue.txt", import.meta.url)) };

/** Write the licence texts of every package that has code in the bundle to LICENSES.txt. */
export function licences(): Plugin {
  return {
    name: "licences",
    generateBundle(_options, bundle) {
      const folders = new Set<string>();
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== "chunk") continue;
        for (const id of Object.keys(chunk.modules)) {
          const folder = packageOf(id.replace(/^\0/, "").split("?")[0] ?? "");
          if (folder !== null) folders.add(folder);
        }
      }
      const texts = [...folders].map((folder) => textOf(folder, (problem) => this.error(problem)));
      this.emitFile({ type: "asset", fileName: "LICENSES.txt", source: texts.sort().join("\n" + "=".repeat(80) + "\n\n") });
    },
  };
}

function packageOf(file: string): string | null {
  if (!file.includes("node_modules")) return null;
  for (let folder = dirname(file); folder !== dirname(folder); folder = dirname(folder)) {
    const manifest = join(folder, "package.json");
    if (existsSync(manifest) && "version" in JSON.parse(readFileSync(manifest, "utf8"))) return folder;
  }
  return null;
}

function textOf(folder: string, fail: (problem: string) => never): string {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const files = readdirSync(folder).filter((file) => /^(licen[cs]e|notice|copying)/i.test(file)).map((file) => join(folder, file));
  if (files.length === 0 && name in KEPT) files.push(KEPT[name]!);
  if (files.length === 0) return fail(`${name} ${version}: expected the text of a licence, found none`);
  const texts = files.map((file) => readFileSync(file, "utf8").trim());
  return `${name} ${version} (${license ?? "see below"})\n\n${texts.join("\n\n")}\n`;
}
