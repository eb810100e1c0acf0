/**
 * Annotate in a real browser, as a person would: node e2e/annotate.mjs URL PLAN.json RESULT.json
 *
 * PLAN is a list of {rank, action, codes?, comment?}: "draw" and "fill" bring the unit to `codes` (base64, a byte a voxel
 * of its box, x fastest) by strokes of the pen of one voxel along rows; "fill" draws outlines and fills them. "predicted"
 * takes what was handed out, "skip" and "later" do what they say. RESULT gets what the page held of every unit.
 * A server that goes away and comes back at the same port is waited for. CHROMIUM is the browser, SHOTS a folder for
 * screenshots, WAIT the seconds that a server may be away.
 */

import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [url, planFile, resultFile] = process.argv.slice(2);
if (resultFile === undefined) throw new Error("expected URL PLAN.json RESULT.json");
const WAIT = 1000 * Number(process.env.WAIT ?? 120);
const SHOTS = process.env.SHOTS;
/** Smaller voxels are enlarged before anything is drawn: a press has whole pixels. */
const SMALLEST = 3;

const plan = JSON.parse(readFileSync(planFile, "utf8"));
let mouse;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--no-sandbox",
    "--disable-background-networking",
  ],
});

try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 720 } });
  const errors = [];
  mouse = await page.context().newCDPSession(page);
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(url);
  await page.waitForFunction(() => window.albench?.ready(), null, { timeout: WAIT });
  const firstSlice = await page.evaluate(() => window.albench.firstSlice());
  await shoot(page, "start");
  await page.locator("#size").fill("1");
  const units = [];
  for (const item of plan) units.push(await annotate(page, item));
  await page.waitForFunction(() => window.albench.saved(), null, { timeout: WAIT });
  await shoot(page, "end");
  const result = { first_slice_ms: firstSlice, saved: true, errors, units };
  writeFileSync(`${resultFile}.new`, JSON.stringify(result));
  renameSync(`${resultFile}.new`, resultFile);
} finally {
  await browser.close();
}

async function annotate(page, { rank, action, codes, comment }) {
  const began = Date.now();
  await open(page, rank);
  const opened = Date.now();
  if (action === "draw" || action === "fill") await draw(page, Buffer.from(codes, "base64"), action === "fill");
  else if (action === "predicted") await page.keyboard.press("p");
  else if (action !== "skip" && action !== "later") throw new Error(`unit ${rank}: no such action: ${action}`);
  if (comment !== undefined) await page.locator("#comment").fill(comment);
  if (comment !== undefined) await page.locator("#labels").focus();
  await shoot(page, `unit-${String(rank).padStart(4, "0")}-${action}`);
  const held = Buffer.from(await page.evaluate(() => window.albench.codes())).toString("base64");
  await page.keyboard.press({ skip: "x", later: "l" }[action] ?? "Enter");
  await answer(page, "Leave them out");
  await answer(page, "Good");
  return { rank, action, codes: held, open_ms: opened - began, all_ms: Date.now() - began };
}

async function open(page, rank) {
  await page.locator("#units button", { has: page.locator(`.rank:text-is("${rank}.")`) }).first().click();
  const shown = (wanted) => window.albench.ready() && window.albench.unit().rank === wanted;
  await page.waitForFunction(shown, rank, { timeout: WAIT });
  // Keys belong to the page and not to the button in the list.
  await page.locator("#labels").focus();
}

/** Press a button of a dialog, if it is there. */
async function answer(page, name) {
  const found = page.locator("dialog[open]").getByRole("button", { name, exact: true });
  if ((await found.count()) > 0) await found.click();
}

async function draw(page, target, fills) {
  const unit = await page.evaluate(() => window.albench.unit());
  const axis = unit.shown_axis;
  const [u, v] = [[1, 2], [0, 2], [0, 1]][axis];
  const size = unit.box.stop.map((stop, a) => stop - unit.box.start[a]);
  if (target.length !== size[0] * size[1] * size[2]) throw new Error(`unit ${unit.rank}: codes of another size`);
  const steps = [1, size[0], size[0] * size[1]];
  for (let slice = unit.box.start[axis]; slice < unit.box.stop[axis]; slice++) {
    const at = (a, b) => a * steps[u] + b * steps[v] + (slice - unit.box.start[axis]) * steps[axis];
    const place = (a, b) => {
      const voxel = [...unit.box.start];
      voxel[u] += a;
      voxel[v] += b;
      voxel[axis] = slice;
      return voxel;
    };
    const part = { width: size[u], height: size[v], at, place };
    const held = await page.evaluate(() => window.albench.codes());
    if (!differs(part, held, target)) continue;
    await goTo(page, slice);
    await enlarge(page, part);
    if (fills) await fill(page, part, target);
    for (let attempt = 0; attempt < 3; attempt++) {
      const now = await page.evaluate(() => window.albench.codes());
      await strokes(page, part, runs(part, (i) => now[i] !== target[i], target));
    }
  }
  const held = Buffer.from(await page.evaluate(() => window.albench.codes()));
  if (!held.equals(target)) throw new Error(`unit ${unit.rank}: the page holds other labels than were drawn`);
}

async function goTo(page, slice) {
  for (;;) {
    const shown = await page.evaluate(() => window.albench.unit().slice);
    if (shown === slice) return;
    await page.keyboard.press(shown < slice ? "PageUp" : "PageDown");
    if ((await page.evaluate(() => window.albench.unit().slice)) === shown) throw new Error(`slice ${slice} is not there`);
  }
}

function differs({ width, height, at }, held, target) {
  for (let b = 0; b < height; b++) for (let a = 0; a < width; a++) if (held[at(a, b)] !== target[at(a, b)]) return true;
  return false;
}

/** Row by row, stretches of voxels that `wanted` says and that get one code. */
function runs({ width, height, at }, wanted, target) {
  const found = [];
  for (let b = 0; b < height; b++) {
    for (let a = 0; a < width; a++) {
      if (!wanted(at(a, b))) continue;
      const from = a;
      while (a + 1 < width && wanted(at(a + 1, b)) && target[at(a + 1, b)] === target[at(from, b)]) a++;
      found.push({ b, from, to: a, code: target[at(from, b)] });
    }
  }
  return found.sort((one, other) => one.code - other.code);
}

async function strokes(page, part, all) {
  await page.keyboard.press("d");
  for (const code of new Set(all.map((run) => run.code))) {
    await choose(page, code);
    let batch = [];
    let view = await viewOf(page, part);
    for (const run of all.filter((each) => each.code === code)) {
      let ends = [view.at(run.from, run.b), view.at(run.to, run.b)];
      if (!ends.every(view.shows)) {
        await send(page, batch);
        batch = [];
        await reveal(page, part, run);
        view = await viewOf(page, part);
        ends = [view.at(run.from, run.b), view.at(run.to, run.b)];
      }
      batch.push(["mouseMoved", ends[0], 0], ["mousePressed", ends[0], 1]);
      if (run.to > run.from) batch.push(["mouseMoved", ends[1], 1]);
      batch.push(["mouseReleased", ends[1], 0]);
    }
    await send(page, batch);
  }
}

/** Events of the mouse in their order, without a pause for every single one. */
async function send(page, events) {
  const button = (buttons, type) => (buttons === 0 && type === "mouseMoved" ? "none" : "left");
  await Promise.all(
    events.map(([type, [x, y], buttons]) =>
      mouse.send("Input.dispatchMouseEvent", { type, x, y, buttons, button: button(buttons, type), clickCount: 1 }),
    ),
  );
}

/** Where voxels of the slice are in the window; linear, so three of them say it all. */
async function viewOf(page, part) {
  const [o, a, b] = await page.evaluate(
    (voxels) => voxels.map((each) => window.albench.canvasPoint(...each)),
    [part.place(0, 0), part.place(1, 0), part.place(0, 1)],
  );
  const box = await page.locator("#labels").boundingBox();
  return {
    at: (u, v) => [0, 1].map((i) => o[i] + u * (a[i] - o[i]) + v * (b[i] - o[i])),
    shows: ([x, y]) => x > box.x + 4 && y > box.y + 4 && x < box.x + box.width - 4 && y < box.y + box.height - 4,
    middle: [box.x + box.width / 2, box.y + box.height / 2],
    box,
  };
}

async function choose(page, code) {
  const place = await page.evaluate((wanted) => {
    const rows = [...document.querySelectorAll("#classes button")];
    rows[Math.min(wanted, rows.length - 1)].scrollIntoView();
    return Math.min(wanted, rows.length - 1);
  }, code);
  await page.locator("#classes button").nth(place).click();
}

/** Draw the outlines of patches of one code and fill them where there is something to fill. */
async function fill(page, part, target) {
  const { width, height, at } = part;
  const edge = new Set();
  for (let b = 0; b < height; b++) {
    for (let a = 0; a < width; a++) {
      const around = [[a - 1, b], [a + 1, b], [a, b - 1], [a, b + 1]];
      const beside = around.some(([x, y]) => x < 0 || y < 0 || x >= width || y >= height || target[at(x, y)] !== target[at(a, b)]);
      if (target[at(a, b)] !== 0 && beside) edge.add(at(a, b));
    }
  }
  const before = await page.evaluate(() => window.albench.codes());
  await strokes(page, part, runs(part, (i) => edge.has(i) && before[i] !== target[i], target));
  await page.keyboard.press("f");
  for (;;) {
    const held = await page.evaluate(() => window.albench.codes());
    const seed = runs(part, (i) => target[i] !== 0 && !edge.has(i) && held[i] !== target[i], target)[0];
    if (seed === undefined) break;
    await choose(page, seed.code);
    await reveal(page, part, { ...seed, to: seed.from });
    const place = (await viewOf(page, part)).at(seed.from, seed.b);
    await send(page, [["mouseMoved", place, 0], ["mousePressed", place, 1], ["mouseReleased", place, 0]]);
  }
}

/** Voxels of fewer than three pixels: come closer. */
async function enlarge(page, part) {
  for (let turn = 0; turn < 30; turn++) {
    const view = await viewOf(page, part);
    const [a, b] = [view.at(0, 0), view.at(1, 1)];
    if (Math.min(Math.abs(b[0] - a[0]), Math.abs(b[1] - a[1])) >= SMALLEST) return;
    await page.keyboard.press("+");
  }
}

/** Move the picture so that a stroke lies on the canvas. */
async function reveal(page, part, { from, to, b }) {
  for (let turn = 0; turn < 20; turn++) {
    const view = await viewOf(page, part);
    if (view.shows(view.at(from, b)) && view.shows(view.at(to, b))) return;
    const [x, y] = view.at((from + to) / 2, b);
    const limit = (value, most) => Math.max(-most, Math.min(most, value));
    const [cx, cy] = view.middle;
    await page.mouse.move(cx, cy);
    await page.mouse.down({ button: "middle" });
    await page.mouse.move(cx + limit(cx - x, view.box.width / 2.2), cy + limit(cy - y, view.box.height / 2.2));
    await page.mouse.up({ button: "middle" });
  }
}

async function shoot(page, name) {
  if (!SHOTS) return;
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: join(SHOTS, `${name}.png`) });
}
