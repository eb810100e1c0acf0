/**
 * A server of made images for looking at the page: node tests/mock.mjs [--port N] [--state FILE] [--size x,y,z] [--ct].
 * It keeps to the interface that docs/annotate.md describes as far as the page calls it, and checks no hosts or sizes.
 */

import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { deflateSync, inflateSync } from "node:zlib";

const { values: options } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    state: { type: "string" },
    size: { type: "string", default: "64,80,40" },
    ct: { type: "boolean", default: false },
  },
});
const PAGE = fileURLToPath(new URL("../../albench/annotate/page/", import.meta.url));
const SHAPE = options.size.split(",").map(Number);
const SPACING = options.ct ? [0.8, 0.8, 1.5] : [1, 1, 1.2];
const CLASSES = [
  { code: 0, value: 0, name: "background", color: "#000000" },
  { code: 1, value: 1, name: "anterior", color: "#e69f00" },
  { code: 2, value: 2, name: "posterior <b>part</b>", color: "#56b4e9" },
];
const IGNORE = 3;
const PEOPLE = { "t-anna": ["anna", "annotator"], "t-ben": ["ben", "annotator"], "t-rev": ["rita", "reviewer"] };

function units(annotator) {
  const middle = SHAPE.map((n) => Math.floor(n / 2));
  const made = [];
  const add = (axis, box, role = "strategy") => {
    const slab = { start: [...box.start], stop: [...box.stop] };
    (axis === null ? [0, 1, 2] : [axis]).forEach((a) => {
      slab.start[a] = Math.max(0, slab.start[a] - 8);
      slab.stop[a] = Math.min(SHAPE[a], slab.stop[a] + 8);
    });
    const plane = axis === null ? "patch" : ["sagittal", "coronal", "axial"][axis];
    made.push({
      rank: made.length + 1, annotator, case: 0, name: "case-001", plane, axis, role, box, slab,
      title: axis === null ? "patch" : `${plane} ${box.start[axis] + 1}/${SHAPE[axis]}`,
      score: 0.71, gain: 0.2, uncertainty: { anterior: 0.31, "posterior <b>part</b>": 0.12 },
      prefill: role === "audit" ? null : "predicted", shape: SHAPE, spacing: SPACING,
    });
  };
  const slice = (axis, at) => ({
    start: SHAPE.map((_, a) => (a === axis ? at : 0)),
    stop: SHAPE.map((n, a) => (a === axis ? at + 1 : n)),
  });
  add(2, slice(2, middle[2]));
  add(2, slice(2, middle[2] + 5));
  add(1, slice(1, middle[1]));
  add(0, slice(0, middle[0]));
  add(2, slice(2, middle[2] - 4), "audit");
  add(null, { start: middle.map((n) => n - 8), stop: middle.map((n) => n + 6) });
  return made;
}

const inside = (x, y, z, scale = 1) => {
  const r = SHAPE.map((n) => n / 3.2);
  return Math.hypot((x - SHAPE[0] / 2) / r[0], (y - SHAPE[1] / 2) / r[1], (z - SHAPE[2] / 2) / r[2]) < scale;
};
const truth = (x, y, z) => (!inside(x, y, z, 0.6) ? 0 : y > SHAPE[1] / 2 ? 1 : 2);

function predicted(unit) {
  const codes = [];
  for (let z = unit.box.start[2]; z < unit.box.stop[2]; z++)
    for (let y = unit.box.start[1]; y < unit.box.stop[1]; y++)
      for (let x = unit.box.start[0]; x < unit.box.stop[0]; x++) codes.push(unit.role === "audit" ? IGNORE : truth(x, y, z));
  return Uint8Array.from(codes);
}

const made = new Map();

function nifti(start, stop) {
  const key = String([start, stop]);
  if (!made.has(key)) made.set(key, image(start, stop));
  return made.get(key);
}

function image(start, stop) {
  const size = stop.map((n, a) => n - start[a]);
  const header = Buffer.alloc(352);
  header.writeInt32LE(348, 0);
  [3, ...size, 1, 1, 1, 1].forEach((n, i) => header.writeInt16LE(n, 40 + 2 * i));
  header.writeInt16LE(4, 70);
  header.writeInt16LE(16, 72);
  [1, ...SPACING].forEach((n, i) => header.writeFloatLE(n, 76 + 4 * i));
  header.writeFloatLE(352, 108);
  header.writeFloatLE(1, 112);
  header.writeInt16LE(1, 254);
  [0, 1, 2].forEach((a) => {
    header.writeFloatLE(SPACING[a], 280 + 16 * a + 4 * a);
    header.writeFloatLE(start[a] * SPACING[a] - 20, 280 + 16 * a + 12);
  });
  header.write("n+1\0", 344, "latin1");
  const data = new Int16Array(size[0] * size[1] * size[2]);
  let i = 0;
  for (let z = start[2]; z < stop[2]; z++)
    for (let y = start[1]; y < stop[1]; y++)
      for (let x = start[0]; x < stop[0]; x++) {
        const noise = ((x * 7919 + y * 104729 + z * 1299709) % 97) / 2;
        // Bright towards the right and anterior corner, so that a flip shows.
        data[i++] = (inside(x, y, z) ? 40 : -900) + (truth(x, y, z) > 0 ? 60 : 0) + noise + (x > 0.8 * SHAPE[0] && y > 0.8 * SHAPE[1] ? 700 : 0);
      }
  return Buffer.concat([header, Buffer.from(data.buffer)]);
}

const encode = (codes) => deflateSync(codes).toString("base64");
const decode = (text) => new Uint8Array(inflateSync(Buffer.from(text, "base64")));
const state = options.state && existsSync(options.state) ? JSON.parse(readFileSync(options.state, "utf8")) : {};

function keep() {
  if (!options.state) return;
  writeFileSync(`${options.state}.new`, JSON.stringify(state));
  renameSync(`${options.state}.new`, options.state);
}

function versions(unit) {
  return (state[`${unit.annotator}/${unit.rank}`] ??= [
    { version: 0, labels: encode(predicted(unit)), status: "open", comment: "", seconds: 0, verdict: null, remark: "", by: "", saved: "" },
  ]);
}

function answer(unit, labelled = false) {
  const { labels, by: _by, saved: _saved, ...newest } = versions(unit).at(-1);
  const n_unlabelled = decode(labels).filter((code) => code === IGNORE).length;
  return { ...unit, ...newest, n_unlabelled, ...(labelled ? { labels, handed_out: encode(predicted(unit)) } : {}) };
}

function api(method, path, search, me, body) {
  const [name, role] = me;
  const who = role === "reviewer" ? (body?.annotator ?? search.get("annotator") ?? "anna") : name;
  const mine = units(who);
  if (path === "query") {
    const shown = role === "reviewer" ? [...units("anna"), ...units("ben")] : mine;
    return [200, {
      id: "mock", strategy: "usim-f", round: 2, me: { name, role }, annotators: ["anna", "ben"], classes: CLASSES, ignore_code: IGNORE,
      channels: ["image"], is_ct: [options.ct], idle_seconds: 30, units: shown.map((unit) => answer(unit)),
    }];
  }
  if (path === "cases/0/image") return [200, nifti([0, 0, 0], SHAPE)];
  const [, rank, rest] = /^units\/(\d+)(?:\/(.*))?$/.exec(path) ?? [];
  const unit = mine.find((each) => each.rank === Number(rank));
  if (unit === undefined) return [404, { error: "no such unit" }];
  const kept = versions(unit);
  if (rest === "image") return [200, nifti(unit.slab.start, unit.slab.stop)];
  if (rest === "versions") return [200, kept.slice(1).map(({ labels, ...more }) => ({ ...more, n_unlabelled: 0 }))];
  if (rest?.startsWith("versions/")) return [200, { labels: kept.find((each) => each.version === Number(rest.slice(9))).labels }];
  if (rest === undefined && method === "GET") return [200, answer(unit, true)];
  const newest = kept.at(-1);
  if (body.base !== newest.version) return [409, { error: "another version is newer", current: answer(unit, true) }];
  const next = { ...newest, version: newest.version + 1, saved: new Date().toISOString(), by: name };
  if (rest === "review") Object.assign(next, { verdict: body.verdict, remark: body.remark });
  else {
    Object.assign(next, { status: body.status, comment: body.comment, verdict: null, remark: "" });
    if (body.labels !== null) next.labels = body.labels;
    next.seconds += body.seconds_delta;
    const gaps = decode(next.labels).filter((code) => code === IGNORE).length;
    if (body.status === "done" && gaps > 0 && !body.allow_unlabelled) return [400, { error: `${gaps} voxels are not annotated` }];
  }
  kept.push(next);
  keep();
  return [200, answer(unit)];
}

const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".txt": "text/plain" };
const CSP = "default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

let lost = false;
const server = createServer((request, response) => {
  const url = new URL(request.url, "http://127.0.0.1");
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const send = (status, type, content) => response.writeHead(status, { "Content-Type": type, "Content-Security-Policy": CSP }).end(content);
    // For tests: from now on changes are answered as by a proxy that has lost its server, or as usual again.
    if (url.pathname === "/mock") {
      lost = url.searchParams.get("lost") === "yes";
      return send(200, "text/plain", String(lost));
    }
    if (lost && request.method === "PUT") return send(502, "text/plain", "");
    if (!url.pathname.startsWith("/api/")) {
      const file = join(PAGE, url.pathname === "/" ? "index.html" : url.pathname);
      if (file.startsWith(PAGE) && existsSync(file)) send(200, TYPES[extname(file)] ?? "application/octet-stream", readFileSync(file));
      else send(404, "text/plain", "not here");
      return;
    }
    const me = PEOPLE[(request.headers.authorization ?? "").replace("Bearer ", "")];
    if (me === undefined) return send(401, "application/json", '{"error": "no such token"}');
    const body = chunks.length ? JSON.parse(Buffer.concat(chunks)) : undefined;
    const [status, content] = api(request.method, url.pathname.slice(5), url.searchParams, me, body);
    if (Buffer.isBuffer(content)) send(status, "application/octet-stream", content);
    else send(status, "application/json", JSON.stringify(content));
  });
});
server.listen(Number(options.port), "127.0.0.1", () => {
  for (const token of Object.keys(PEOPLE)) console.log(`http://127.0.0.1:${server.address().port}/#token=${token}`);
});
