/** The unit that is open: its labels, what may be painted of them, undo and redo. */

import { count, decode, equal } from "./codes.ts";
import { History } from "./history.ts";
import type { Work } from "./outbox.ts";
import { type Axis, Plane, type Point } from "./plane.ts";
import { sizeOf, type LabelledUnit, type Status, type Triple, type Unit } from "./types.ts";

export class Session {
  readonly codes: Uint8Array;
  readonly handedOut: Uint8Array;
  readonly size: Triple;
  /** Axis the shown slices are perpendicular to. */
  readonly axis: Axis;
  /** Slice that is shown, in voxels of the whole image. */
  slice: number;
  status: Status;
  comment: string;
  allowUnlabelled = false;
  private readonly history = new History();

  constructor(
    public unit: Unit,
    labels: LabelledUnit,
    readonly ignore: number,
    readonly readOnly: boolean,
  ) {
    this.size = sizeOf(unit.box);
    const n = this.size[0] * this.size[1] * this.size[2];
    this.codes = decode(labels.labels, n);
    this.handedOut = decode(labels.handed_out, n);
    this.axis = unit.axis ?? 2;
    this.slice = Math.floor((unit.box.start[this.axis] + unit.box.stop[this.axis] - 1) / 2);
    this.status = unit.status;
    this.comment = unit.comment;
  }

  /** Whether the shown slice is one that was asked. */
  get asked(): boolean {
    return this.slice >= this.unit.box.start[this.axis] && this.slice < this.unit.box.stop[this.axis];
  }

  /** The box's part of the shown slice, or null on a neighbour. */
  get plane(): Plane | null {
    if (!this.asked) return null;
    return new Plane(this.size, this.axis, this.slice - this.unit.box.start[this.axis]);
  }

  get unlabelled(): number {
    return count(this.codes, this.ignore);
  }

  /** Show a neighbour; false at the end of what is there. */
  step(by: number): boolean {
    const next = this.slice + by;
    if (next < this.unit.slab.start[this.axis] || next >= this.unit.slab.stop[this.axis]) return false;
    this.slice = next;
    return true;
  }

  /** Go to the asked slice. */
  home(): void {
    this.slice = Math.floor((this.unit.box.start[this.axis] + this.unit.box.stop[this.axis] - 1) / 2);
  }

  /** Keep labels for undo: those before a change. */
  remember(before: Uint8Array): void {
    this.history.push(before);
  }

  get canUndo(): boolean {
    return this.history.canUndo;
  }

  get canRedo(): boolean {
    return this.history.canRedo;
  }

  undo(): boolean {
    return this.take(this.history.undo(this.codes));
  }

  redo(): boolean {
    return this.take(this.history.redo(this.codes));
  }

  /** Replace all labels of the box, undoably; false if they are the same. */
  replace(codes: Uint8Array): boolean {
    if (equal(codes, this.codes)) return false;
    this.remember(this.codes);
    return this.take(codes);
  }

  /** What nobody has annotated becomes background; returns voxels. */
  restIsBackground(): number {
    const n = this.unlabelled;
    if (n > 0) this.replace(this.codes.map((code) => (code === this.ignore ? 0 : code)));
    return n;
  }

  /** The labels changed: a finished unit with gaps, or a skipped one, is open again. */
  reopen(): void {
    if (this.status === "skip" || (this.status === "done" && this.unlabelled > 0)) this.status = "open";
  }

  work(changed: boolean): Work {
    return {
      rank: this.unit.rank,
      annotator: this.unit.annotator,
      codes: this.codes,
      changed,
      status: this.status,
      comment: this.comment,
      allowUnlabelled: this.allowUnlabelled,
    };
  }

  /** Voxel of the whole image that a point of the shown slice is. */
  voxel(point: Point): Triple {
    const start = this.unit.box.start;
    if (this.axis === 2) return [start[0] + point[0], start[1] + point[1], this.slice];
    if (this.axis === 1) return [start[0] + point[0], this.slice, start[2] + point[1]];
    return [this.slice, start[1] + point[0], start[2] + point[1]];
  }

  private take(codes: Uint8Array | null): boolean {
    if (codes !== null) this.codes.set(codes);
    return codes !== null;
  }
}
