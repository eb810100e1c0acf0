import { describe, expect, it } from "vitest";
import { tokenOf } from "../src/api.ts";
import { Clock } from "../src/clock.ts";
import { decode, encode } from "../src/codes.ts";
import { History } from "../src/history.ts";
import { dragged, windowOf } from "../src/windows.ts";

describe("codes", () => {
  it("come back as they went", () => {
    const codes = Uint8Array.from({ length: 100_000 }, (_, i) => (i * i) % 251);
    expect(decode(encode(codes), codes.length)).toEqual(codes);
  });

  it("of another number are refused", () => {
    expect(() => decode(encode(new Uint8Array(5)), 6)).toThrow("expected 6 voxels, found 5");
  });
});

describe("history", () => {
  it("goes back and forth, and forgets the future once something else is done", () => {
    const history = new History();
    const states = [0, 1, 2, 3].map((code) => new Uint8Array([code]));
    for (const state of states.slice(0, 3)) history.push(state);
    expect(history.undo(states[3]!)).toEqual(states[2]);
    expect(history.undo(states[2]!)).toEqual(states[1]);
    expect(history.redo(states[1]!)).toEqual(states[2]);
    history.push(states[2]!);
    expect(history.canRedo).toBe(false);
    expect(history.redo(states[2]!)).toBeNull();
  });

  it("keeps at least one state and not more bytes than allowed", () => {
    const history = new History(1);
    history.push(new Uint8Array([1]));
    history.push(new Uint8Array([2]));
    expect(history.undo(new Uint8Array([3]))).toEqual(new Uint8Array([2]));
    expect(history.canUndo).toBe(false);
  });
});

describe("clock", () => {
  it("counts while there is input, and idle seconds once", () => {
    let now = 0;
    const clock = new Clock(30, () => now);
    clock.show("a/1");
    now = 10;
    clock.touch();
    now = 100;
    clock.touch();
    now = 105;
    expect(clock.take("a/1")).toBe(45);
    expect(clock.take("a/1")).toBe(0);
  });

  it("keeps units apart and stands still when the page is hidden", () => {
    let now = 0;
    const clock = new Clock(30, () => now);
    clock.show("a/1");
    now = 4;
    clock.show("a/2");
    now = 5;
    clock.show(null);
    now = 50;
    clock.show("a/2");
    now = 52;
    expect([clock.take("a/1"), clock.take("a/2")]).toEqual([4, 3]);
  });
});

describe("windows", () => {
  it("drag to the right widens around the level, up brightens", () => {
    const wider = dragged(windowOf(40, 400), 100, 0);
    expect((wider.min + wider.max) / 2).toBeCloseTo(40);
    expect(wider.max - wider.min).toBeGreaterThan(400);
    expect(dragged(windowOf(40, 400), 0, 30).max).toBeLessThan(240);
  });

  it("never turns round", () => {
    const narrow = dragged(windowOf(0, 1e-5), -1e5, 0);
    expect(narrow.max).toBeGreaterThan(narrow.min);
  });
});

it("token comes from the fragment", () => {
  expect(tokenOf("#token=ab-c_1")).toBe("ab-c_1");
  expect(tokenOf("")).toBeNull();
});
