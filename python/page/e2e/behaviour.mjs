/**
 * What the page does, in a real browser before a server of made images: node e2e/behaviour.mjs (after npm run build).
 * CHROMIUM is the browser, SHOTS a folder for screenshots.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const MOCK = fileURLToPath(new URL("../tests/mock.mjs", import.meta.url));
const SHOTS = process.env.SHOTS;
const folder = mkdtempSync(join(tmpdir(), "page-"));
const state = join(folder, "state.json");
const ARGS = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox", "--disable-background-networking"];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGS });
let server = await serve(0);

async function serve(port) {
  const child = spawn(process.execPath, [MOCK, "--port", String(port), "--state", state], { stdio: ["ignore", "pipe", "inherit"] });
  const line = await new Promise((resolve) => child.stdout.once("data", (data) => resolve(String(data).split("\n")[0])));
  return { child, origin: new URL(line).origin, port: Number(new URL(line).port) };
}

async function stop() {
  const gone = new Promise((resolve) => server.child.once("exit", resolve));
  server.child.kill("SIGKILL");
  await gone;
}

async function open(token, options = {}) {
  const context = options.context ?? (await browser.newContext({ viewport: { width: 1280, height: 720 }, ...options }));
  const page = await context.newPage();
  page.problems = [];
  page.on("pageerror", (error) => page.problems.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(server.origin) && !request.url().startsWith("data:")) page.problems.push(request.url());
  });
  page.on("console", (message) => {
    if (message.type() === "error" && !/Failed to load resource|ERR_CONNECTION/.test(message.text())) page.problems.push(message.text());
  });
  await page.goto(`${server.origin}/#token=${token}`);
  await ready(page);
  return page;
}

const ready = (page) => page.waitForFunction(() => window.albench?.ready(), null, { timeout: 60_000 });
const saved = (page) => page.waitForFunction(() => window.albench.saved(), null, { timeout: 60_000 });
const codes = (page) => page.evaluate(() => window.albench.codes());
const unit = (page) => page.evaluate(() => window.albench.unit());
const painted = (page, code) => codes(page).then((all) => all.filter((each) => each === code).length);
const choose = async (page, rank) => {
  await page.locator("#units button").nth(rank - 1).click();
  await page.waitForFunction((wanted) => window.albench.ready() && window.albench.unit().rank === wanted, rank);
  await page.locator("#labels").focus();
};
const shoot = async (page, name) => {
  if (!SHOTS) return;
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: join(SHOTS, `${name}.png`) });
};
const fresh = async () => {
  await stop();
  rmSync(state, { force: true });
  server = await serve(server.port);
};

const checks = {
  async "keyboard alone: paint, undo, redo, finish"() {
    const page = await open("t-anna");
    await page.locator("#labels").focus();
    const before = await codes(page);
    await page.locator("#size").fill("1");
    await page.locator("#labels").focus();
    await page.keyboard.press("1");
    await page.keyboard.press("Shift+ArrowLeft");
    await page.keyboard.press("Shift+ArrowLeft");
    await page.keyboard.press("Shift+ArrowLeft");
    await page.keyboard.down(" ");
    for (let i = 0; i < 5; i++) await page.keyboard.press("ArrowUp");
    await page.keyboard.up(" ");
    const after = await codes(page);
    assert.equal(after.filter((code, i) => code !== before[i]).length, 6);
    await page.keyboard.press("Control+z");
    assert.deepEqual(await codes(page), before);
    await page.keyboard.press("Control+y");
    assert.deepEqual(await codes(page), after);
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => window.albench.ready() && window.albench.unit().rank === 2);
    assert.match(await page.locator("#units button").first().innerText(), /done/);
    return page;
  },

  async "tools fill, grow, threshold and the filled pen, inside of the box alone"() {
    const page = await open("t-anna");
    await choose(page, 6);
    const { box } = await unit(page);
    const [x, y] = await page.evaluate((b) => window.albench.canvasPoint(b.start[0], b.start[1], 0), box);
    const [x2, y2] = await page.evaluate((b) => window.albench.canvasPoint(b.stop[0] - 1, b.stop[1] - 1, 0), box);
    await page.keyboard.press("0");
    await page.keyboard.press("f");
    await page.mouse.click((x + x2) / 2, (y + y2) / 2);
    assert.ok((await painted(page, 0)) > 0);
    await page.keyboard.press("2");
    await page.keyboard.press("o");
    await page.mouse.move(x + 5, y - 5);
    await page.mouse.down();
    await page.mouse.move(x2 - 5, y - 5, { steps: 4 });
    await page.mouse.move(x2 - 5, y2 + 5, { steps: 4 });
    await page.mouse.move(x + 5, y2 + 5, { steps: 4 });
    await page.mouse.up();
    const filled = await painted(page, 2);
    assert.ok(filled >= 14 * 14, `${filled} voxels`);
    await page.keyboard.press("1");
    await page.keyboard.press("t");
    await page.mouse.click((x + x2) / 2, (y + y2) / 2);
    assert.ok((await painted(page, 1)) > 0);
    await page.keyboard.press("g");
    await page.mouse.click((x + x2) / 2, (y + y2) / 2);
    await shoot(page, "patch");
    // Beside the box nothing is painted.
    const before = await codes(page);
    await page.keyboard.press("d");
    await page.locator("#size").fill("1");
    await page.mouse.click(x + Math.sign(x - x2) * 40, y);
    assert.deepEqual(await codes(page), before);
    return page;
  },

  async "neighbours are shown and not painted"() {
    const page = await open("t-anna");
    await choose(page, 1);
    const before = await codes(page);
    await page.keyboard.press("PageUp");
    assert.equal((await unit(page)).slice, 21);
    await page.keyboard.press("1");
    const box = await page.locator("#labels").boundingBox();
    await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
    await page.keyboard.press(" ");
    assert.deepEqual(await codes(page), before);
    await shoot(page, "neighbour");
    for (let i = 0; i < 20; i++) await page.keyboard.press("PageUp");
    assert.equal((await unit(page)).slice, 28);
    await page.keyboard.press("c");
    assert.equal((await unit(page)).slice, 20);
    return page;
  },

  async "gaps are asked about, the rest becomes background"() {
    const page = await open("t-anna");
    await choose(page, 5);
    assert.equal(await painted(page, 3), 64 * 80);
    await shoot(page, "not-annotated");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Go on annotating" }).click();
    assert.equal((await unit(page)).status, "open");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "They are background" }).click();
    await page.waitForFunction(() => window.albench.ready() && window.albench.unit().rank !== 5);
    await saved(page);
    assert.match(await page.locator("#units button").nth(4).innerText(), /done/);
    await choose(page, 5);
    assert.equal(await painted(page, 0), 64 * 80);
    return page;
  },

  async "a server that is killed loses nothing"() {
    const page = await open("t-anna");
    await choose(page, 2);
    await page.keyboard.press("0");
    await page.keyboard.press("f");
    await stop();
    const box = await page.locator("#labels").boundingBox();
    await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2 - 20);
    await page.locator("#banner-offline").waitFor();
    assert.ok(!(await page.evaluate(() => window.albench.saved())));
    await shoot(page, "offline");
    const held = await codes(page);
    server = await serve(server.port);
    await saved(page);
    assert.equal(await page.locator("#banner-offline").count(), 0);
    await page.reload();
    await ready(page);
    await choose(page, 2);
    assert.deepEqual(await codes(page), held);
    return page;
  },

  async "changes that were not sent are offered after a reload"() {
    const page = await open("t-anna");
    await choose(page, 2);
    await fetch(`${server.origin}/mock?lost=yes`);
    await page.keyboard.press("p");
    await page.keyboard.press("b");
    await page.keyboard.press("2");
    await page.keyboard.press(" ");
    const held = await codes(page);
    await page.locator("#banner-offline").waitFor();
    await page.reload();
    const send = page.getByRole("button", { name: "Send them" });
    await send.waitFor();
    await shoot(page, "unsent");
    await fetch(`${server.origin}/mock?lost=no`);
    await send.click();
    await saved(page);
    await choose(page, 2);
    assert.deepEqual(await codes(page), held);
    return page;
  },

  async "two windows: told of each other, and asked which version stays"() {
    const one = await open("t-anna");
    const two = await open("t-anna");
    const context = one.context();
    const tab = await open("t-anna", { context });
    await one.locator("#banner-tabs").waitFor();
    await tab.close({ runBeforeUnload: true });
    for (const page of [one, two]) await choose(page, 3);
    await one.keyboard.press("0");
    await one.keyboard.press(" ");
    await saved(one);
    const theirs = await codes(one);
    await two.keyboard.press("1");
    await two.keyboard.press("f");
    await two.keyboard.press(" ");
    const mine = await codes(two);
    await two.getByRole("button", { name: "Keep mine" }).waitFor();
    await shoot(two, "conflict");
    await two.keyboard.press("Escape");
    await two.getByRole("button", { name: "Keep theirs" }).click();
    assert.notDeepEqual(mine, theirs);
    await two.waitForFunction((wanted) => String(window.albench.codes()) === wanted, String(theirs));
    await two.context().close();
    return one;
  },

  async "text of the server is text"() {
    const page = await open("t-anna");
    assert.equal(await page.locator("#classes b, #uncertainty b").count(), 0);
    assert.match(await page.locator("#classes").innerText(), /<b>part<\/b>/);
    return page;
  },

  async "help, other planes, versions"() {
    const page = await open("t-anna");
    await page.locator("#labels").focus();
    await page.keyboard.press("?");
    await shoot(page, "keys");
    await page.keyboard.press("Escape");
    await page.keyboard.press("v");
    await page.waitForTimeout(2500);
    await shoot(page, "planes");
    await page.keyboard.press("v");
    assert.ok(await page.locator("#planes").isHidden());
    await choose(page, 2);
    await page.keyboard.press("i");
    await page.locator("dialog").waitFor();
    await shoot(page, "versions");
    await page.keyboard.press("Escape");
    return page;
  },

  async "reviewer accepts and sends back"() {
    const page = await open("t-rev");
    await page.keyboard.press("a");
    await page.waitForFunction(() => window.albench.ready());
    assert.match(await page.locator("#units").innerText(), /accepted/);
    await shoot(page, "review");
    await choose(page, 5);
    await page.keyboard.press("r");
    await page.locator("dialog textarea").fill("the border, please");
    await page.locator("dialog").getByRole("button", { name: "Send back" }).click();
    await page.waitForFunction(() => /sent back/.test(document.getElementById("units").innerText));
    const anna = await open("t-anna");
    await choose(anna, 5);
    assert.match(await anna.locator("#remark").innerText(), /the border, please/);
    await anna.context().close();
    return page;
  },

  async "tablet: one finger draws, two do not"() {
    const page = await open("t-ben", { viewport: { width: 1024, height: 768 }, hasTouch: true });
    await choose(page, 1);
    const before = await codes(page);
    const box = await page.locator("#labels").boundingBox();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    const cdp = await page.context().newCDPSession(page);
    const touch = (type, ...points) => cdp.send("Input.dispatchTouchEvent", { type, touchPoints: points.map(([a, b], id) => ({ x: a, y: b, id })) });
    await page.keyboard.press("2");
    await touch("touchStart", [x, y - 60]);
    await touch("touchStart", [x, y - 60], [x + 80, y]);
    await touch("touchMove", [x - 30, y - 60], [x + 120, y]);
    await touch("touchEnd");
    assert.deepEqual(await codes(page), before);
    await touch("touchStart", [x, y - 60]);
    await touch("touchMove", [x + 60, y - 60]);
    await touch("touchEnd");
    assert.notDeepEqual(await codes(page), before);
    await shoot(page, "tablet");
    await saved(page);
    return page;
  },
};

let failed = 0;
const only = process.argv[2];
try {
  for (const [name, check] of Object.entries(checks)) {
    if (only && !name.includes(only)) continue;
    const began = Date.now();
    try {
      const page = await check();
      assert.deepEqual(page.problems, []);
      await page.context().close();
      console.log(`ok    ${name} (${Date.now() - began} ms)`);
    } catch (error) {
      failed++;
      console.log(`FAIL  ${name}\n${error.stack}`);
      for (const context of browser.contexts()) {
        for (const page of context.pages()) await shoot(page, `failed-${failed}`).catch(() => undefined);
        await context.close();
      }
      if (server.child.exitCode !== null || server.child.signalCode !== null) await fresh();
    }
  }
} finally {
  await browser.close();
  await stop();
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = failed === 0 ? 0 : 1;
