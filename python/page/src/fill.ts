/** Fills of a slice of the box: by the label that is there, or by the brightness of the image. */

import { anything, type Mask } from "./pen.ts";
import type { Plane, Point } from "./plane.ts";

/** Brightness of the voxel at a point of the slice. */
export type Brightness = (u: number, v: number) => number;

/** Recolour the four-connected patch of one code around `seed`. */
export function flood(codes: Uint8Array, plane: Plane, seed: Point, code: number): void {
  if (!plane.has(...seed)) return;
  const old = codes[plane.at(...seed)]!;
  if (old === code) return;
  spread(plane, seed, (u, v) => codes[plane.at(u, v)] === old).forEach((i) => (codes[i] = code));
}

/** Paint what hangs together with `seed` and differs from it by no more than `tolerance`. */
export function grow(
  codes: Uint8Array,
  plane: Plane,
  seed: Point,
  code: number,
  brightness: Brightness,
  tolerance: number,
  mask: Mask = anything,
): void {
  if (!plane.has(...seed)) return;
  const middle = brightness(...seed);
  const alike = (u: number, v: number) => Math.abs(brightness(u, v) - middle) <= tolerance;
  for (const i of spread(plane, seed, alike)) if (mask(codes[i]!)) codes[i] = code;
}

/** Paint all of the slice that differs from `seed` by no more than `tolerance`. */
export function threshold(
  codes: Uint8Array,
  plane: Plane,
  seed: Point,
  code: number,
  brightness: Brightness,
  tolerance: number,
  mask: Mask = anything,
): void {
  if (!plane.has(...seed)) return;
  const middle = brightness(...seed);
  for (let v = 0; v < plane.height; v++) {
    for (let u = 0; u < plane.width; u++) {
      const i = plane.at(u, v);
      if (Math.abs(brightness(u, v) - middle) <= tolerance && mask(codes[i]!)) codes[i] = code;
    }
  }
}

/** Return places in the box's array of all that is connected with `seed`, over edges, through what `belongs`. */
function spread(plane: Plane, seed: Point, belongs: (u: number, v: number) => boolean): number[] {
  const seen = new Uint8Array(plane.width * plane.height);
  const places: number[] = [];
  const open: Point[] = [];
  const visit = (u: number, v: number) => {
    if (!plane.has(u, v) || seen[u + v * plane.width]) return;
    seen[u + v * plane.width] = 1;
    if (belongs(u, v)) open.push([u, v]);
  };
  visit(...seed);
  for (let point = open.pop(); point !== undefined; point = open.pop()) {
    const [u, v] = point;
    places.push(plane.at(u, v));
    visit(u - 1, v);
    visit(u + 1, v);
    visit(u, v - 1);
    visit(u, v + 1);
  }
  return places;
}
