/** What a pen leaves on a slice of the box. Whatever is off the slice is not touched. */

import type { Plane, Point } from "./plane.ts";

/** Say which voxels may be painted over, by the code they have. */
export type Mask = (code: number) => boolean;
export const anything: Mask = () => true;

/** Paint a disc of `size` voxels across; one voxel for size 1. */
export function dot(codes: Uint8Array, plane: Plane, at: Point, size: number, code: number, mask: Mask = anything): void {
  // A disc of even size is centred on a corner of voxels.
  const shift = size % 2 === 0 ? 0.5 : 0;
  const reach = Math.floor(size / 2);
  // A quarter more than the radius squared: small discs lose their corners alone.
  const limit = (size / 2) ** 2 + 0.25 * (size > 2 ? 1 : 2);
  for (let dv = -reach; dv <= reach; dv++) {
    for (let du = -reach; du <= reach; du++) {
      if ((du + shift) ** 2 + (dv + shift) ** 2 > limit) continue;
      if (size % 2 === 0 && (du === reach || dv === reach)) continue;
      put(codes, plane, at[0] + du, at[1] + dv, code, mask);
    }
  }
}

/** Paint dots from `from` to `to`, both included, without gaps (Bresenham). */
export function line(
  codes: Uint8Array,
  plane: Plane,
  from: Point,
  to: Point,
  size: number,
  code: number,
  mask: Mask = anything,
): void {
  let [u, v] = from;
  const [du, dv] = [Math.abs(to[0] - u), -Math.abs(to[1] - v)];
  const [stepU, stepV] = [u < to[0] ? 1 : -1, v < to[1] ? 1 : -1];
  let error = du + dv;
  for (;;) {
    dot(codes, plane, [u, v], size, code, mask);
    if (u === to[0] && v === to[1]) return;
    const twice = 2 * error;
    if (twice >= dv) {
      error += dv;
      u += stepU;
    }
    if (twice <= du) {
      error += du;
      v += stepV;
    }
  }
}

/** Paint the voxels whose centres are inside of a closed outline (even-odd rule); the outline itself is not painted. */
export function inside(
  codes: Uint8Array,
  plane: Plane,
  outline: readonly Point[],
  code: number,
  mask: Mask = anything,
): void {
  for (let v = 0; v < plane.height; v++) {
    const crossings: number[] = [];
    outline.forEach((a, i) => {
      const b = outline[(i + 1) % outline.length]!;
      if (a[1] <= v === b[1] <= v) return;
      crossings.push(a[0] + ((v - a[1]) / (b[1] - a[1])) * (b[0] - a[0]));
    });
    crossings.sort((a, b) => a - b);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      for (let u = Math.max(0, Math.ceil(crossings[i]!)); u <= Math.min(plane.width - 1, crossings[i + 1]!); u++) {
        put(codes, plane, u, v, code, mask);
      }
    }
  }
}

function put(codes: Uint8Array, plane: Plane, u: number, v: number, code: number, mask: Mask): void {
  if (!plane.has(u, v)) return;
  const i = plane.at(u, v);
  if (mask(codes[i]!)) codes[i] = code;
}
