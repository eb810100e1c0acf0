/** Tools, and what they do to the shown slice between press and release, whether by mouse, pen or keyboard. */

import { equal } from "./codes.ts";
import { flood, grow, threshold, type Brightness } from "./fill.ts";
import { anything, inside, line, type Mask } from "./pen.ts";
import type { Plane, Point } from "./plane.ts";
import type { Session } from "./session.ts";

export type Tool = "pen" | "eraser" | "outline" | "fill" | "grow" | "threshold" | "window";

export interface Tools {
  tool: Tool;
  /** What is painted with. */
  code: number;
  /** Voxels across. */
  size: number;
  /** Per cent of the brightness window, for grow and threshold. */
  tolerance: number;
  /** Paint over background and what is not annotated only. */
  spare: boolean;
}

export class Stroke {
  readonly outline: Point[] = [];
  private readonly before: Uint8Array;
  private readonly code: number;
  private readonly mask: Mask;
  private last: Point;

  /**
   * @param from Voxel of the box's slice; may lie beside it.
   * @param brightness Of the box's voxels.
   * @param tolerance In units of the image.
   */
  constructor(
    private readonly session: Session,
    private readonly plane: Plane,
    private readonly tools: Tools,
    from: Point,
    brightness: Brightness,
    tolerance: number,
  ) {
    this.before = session.codes.slice();
    this.code = tools.tool === "eraser" ? 0 : tools.code;
    const spared: Mask = (code) => code === 0 || code === session.ignore;
    this.mask = tools.spare && tools.tool !== "eraser" ? spared : anything;
    this.last = from;
    const { codes } = session;
    if (tools.tool === "fill") flood(codes, plane, from, this.code);
    else if (tools.tool === "grow") grow(codes, plane, from, this.code, brightness, tolerance, this.mask);
    else if (tools.tool === "threshold") threshold(codes, plane, from, this.code, brightness, tolerance, this.mask);
    else this.move(from);
  }

  move(to: Point): void {
    const { tool, size } = this.tools;
    if (tool === "outline") this.outline.push(to);
    if (tool === "pen" || tool === "eraser") {
      line(this.session.codes, this.plane, this.last, to, size, this.code, this.mask);
    }
    if (tool === "outline") line(this.session.codes, this.plane, this.last, to, 1, this.code, this.mask);
    this.last = to;
  }

  /** Finish; returns whether any label changed. */
  end(): boolean {
    if (this.tools.tool === "outline") {
      const { codes } = this.session;
      line(codes, this.plane, this.last, this.outline[0]!, 1, this.code, this.mask);
      inside(codes, this.plane, this.outline, this.code, this.mask);
    }
    if (equal(this.before, this.session.codes)) return false;
    this.session.remember(this.before);
    return true;
  }

  /** As if it had never begun. */
  cancel(): void {
    this.session.codes.set(this.before);
  }
}
