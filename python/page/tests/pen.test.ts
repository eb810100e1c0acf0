import { describe, expect, it } from "vitest";
import { flood, grow, threshold } from "../src/fill.ts";
import { dot, inside, line } from "../src/pen.ts";
import { Plane, type Point } from "../src/plane.ts";
import { shown, slice } from "./helpers.ts";

describe("pen", () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 12])("of size %i is a symmetric disc of that many voxels across", (size) => {
    const plane = new Plane([21, 21, 1], 2, 0);
    const codes = new Uint8Array(441);
    dot(codes, plane, [10, 10], size, 1);
    const painted = [...codes.keys()].filter((i) => codes[i]);
    const us = painted.map((i) => i % 21);
    const vs = painted.map((i) => Math.floor(i / 21));
    expect(Math.max(...us) - Math.min(...us) + 1).toBe(size);
    expect(Math.max(...vs) - Math.min(...vs) + 1).toBe(size);
    for (const i of painted) expect(codes[(i % 21) * 21 + Math.floor(i / 21)]).toBe(1);
  });

  it("of size 1 paints one voxel, of size 3 a plus with corners", () => {
    const { codes, plane } = slice(".....\n.....\n.....\n.....\n.....");
    dot(codes, plane, [2, 2], 1, 3);
    expect(codes.reduce((a, b) => a + b, 0)).toBe(3);
  });

  it("leaves lines without gaps, ends included", () => {
    const plane = new Plane([40, 30, 1], 2, 0);
    const strokes: [Point, Point][] = [[[0, 0], [39, 29]], [[39, 2], [1, 28]], [[5, 5], [5, 5]], [[3, 29], [9, 0]]];
    for (const [from, to] of strokes) {
      const codes = new Uint8Array(1200);
      line(codes, plane, from, to, 1, 1);
      expect(codes.filter(Boolean).length).toBe(Math.max(Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1])) + 1);
      expect(codes[plane.at(...from)]).toBe(1);
      expect(codes[plane.at(...to)]).toBe(1);
    }
  });

  it("does not wrap around at the border of the box", () => {
    const { codes, plane } = slice("...\n...\n...");
    line(codes, plane, [-4, 1], [1, -6], 1, 2);
    line(codes, plane, [2, 1], [8, 1], 1, 1);
    expect(shown(codes, 3)).toEqual(["...", "..1", "..."]);
  });

  it("spares what the mask protects", () => {
    const { codes, plane } = slice("1.2");
    line(codes, plane, [0, 0], [2, 0], 1, 3, (code) => code === 0);
    expect(shown(codes, 3)).toEqual(["132"]);
  });

  it("touches its own slice of a box alone", () => {
    for (const axis of [0, 1, 2] as const) {
      const codes = new Uint8Array(4 * 5 * 6);
      const plane = new Plane([4, 5, 6], axis, 2);
      line(codes, plane, [0, 0], [plane.width - 1, plane.height - 1], 9, 1);
      codes.forEach((code, i) => {
        const place = [i % 4, Math.floor(i / 4) % 5, Math.floor(i / 20)];
        if (code) expect(place[axis]).toBe(2);
      });
    }
  });
});

describe("filled outlines", () => {
  it("fill a ring", () => {
    const { codes, plane } = slice(".....\n.....\n.....\n.....\n.....");
    inside(codes, plane, [[1, 1], [4, 1], [4, 4], [1, 4]], 1);
    expect(shown(codes, 5)).toEqual([".....", ".1111", ".1111", ".1111", "....."]);
  });

  it("may reach beyond the box", () => {
    const { codes, plane } = slice("...\n...\n...");
    inside(codes, plane, [[-9, -9], [9, -9], [9, 9], [-9, 9]], 1);
    expect(codes.every((code) => code === 1)).toBe(true);
  });
});

describe("fills", () => {
  it("flood up to other labels, over edges and not over corners", () => {
    const { codes, plane } = slice("..1..\n..1..\n.1...\n1....");
    flood(codes, plane, [0, 0], 2);
    expect(shown(codes, 5)).toEqual(["221..", "221..", "21...", "1...."]);
  });

  it("grow stops where the brightness does, threshold does not", () => {
    const bright = [5, 6, 9, 5, 6];
    const ones = slice(".....");
    grow(ones.codes, ones.plane, [0, 0], 1, (u) => bright[u]!, 1);
    expect(shown(ones.codes, 5)).toEqual(["11..."]);
    threshold(ones.codes, ones.plane, [0, 0], 2, (u) => bright[u]!, 1);
    expect(shown(ones.codes, 5)).toEqual(["22.22"]);
  });

  it("do nothing outside of the box", () => {
    const { codes, plane } = slice("...");
    flood(codes, plane, [3, 0], 1);
    grow(codes, plane, [-1, 0], 1, () => 0, 1);
    threshold(codes, plane, [0, 1], 1, () => 0, 1);
    expect(shown(codes, 3)).toEqual(["..."]);
  });
});
