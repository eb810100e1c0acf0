/** A slice of a box of voxels as a picture: u runs to the right or anterior, v to anterior or superior. */

import type { Triple } from "./types.ts";

export type Axis = 0 | 1 | 2;
export type Point = readonly [u: number, v: number];

/** Axes of the picture for the axis it is perpendicular to. */
export function inPlane(axis: Axis): [u: Axis, v: Axis] {
  return axis === 2 ? [0, 1] : axis === 1 ? [0, 2] : [1, 2];
}

export class Plane {
  readonly width: number;
  readonly height: number;
  private readonly offset: number;
  private readonly stepU: number;
  private readonly stepV: number;

  /**
   * @param shape Voxels of the box along x, y and z.
   * @param axis Perpendicular to the slice.
   * @param index Of the slice, counted from the box's start.
   */
  constructor(shape: Triple, axis: Axis, index: number) {
    const steps: Triple = [1, shape[0], shape[0] * shape[1]];
    const [u, v] = inPlane(axis);
    this.width = shape[u];
    this.height = shape[v];
    this.offset = steps[axis] * index;
    this.stepU = steps[u];
    this.stepV = steps[v];
  }

  has(u: number, v: number): boolean {
    return u >= 0 && v >= 0 && u < this.width && v < this.height;
  }

  /** Place of a voxel in the box's array. */
  at(u: number, v: number): number {
    return this.offset + u * this.stepU + v * this.stepV;
  }
}
