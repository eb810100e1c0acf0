/** The middle of the page: a unit's slice, its labels, and everything that paints them. */

import { Overlay } from "./overlay.ts";
import { type Axis, inPlane, type Point } from "./plane.ts";
import { Pointers } from "./pointer.ts";
import type { Session } from "./session.ts";
import { Stroke, type Tools } from "./stroke.ts";
import { type LabelClass, sizeOf, type Triple } from "./types.ts";
import type { Viewer } from "./viewer.ts";
import { dragged, type Window } from "./windows.ts";

export interface Watch {
  /** Labels of the open unit changed. */
  painted(): void;
  /** Another slice, window, tool ...: what is said around the picture is old. */
  shown(): void;
}

export class Workspace {
  readonly tools: Tools = { tool: "pen", code: 1, size: 3, tolerance: 10, spare: false };
  session: Session | null = null;
  opacity = 0.5;
  hidden = false;
  /** Labels that are shown instead of the session's, to compare; nothing is painted then. */
  instead: Uint8Array | null = null;
  /** Voxel of the slice under the mouse or the keyboard's cursor. */
  private cursor: Point | null = null;
  private stroke: Stroke | null = null;
  private frame = 0;
  private readonly overlay: Overlay;

  constructor(
    private readonly viewer: Viewer,
    readonly canvas: HTMLCanvasElement,
    below: HTMLCanvasElement,
    classes: readonly LabelClass[],
    ignore: number,
    private readonly watch: Watch,
  ) {
    this.overlay = new Overlay(canvas, below, classes, ignore);
    new Pointers(canvas, {
      press: (x, y, erase) => this.begin(this.voxelAt(x, y), erase),
      drag: (x, y) => this.go(this.voxelAt(x, y)),
      release: () => this.end(),
      cancel: () => this.cancel(),
      hover: (place) => this.point(place === null || this.session === null ? null : this.voxelAt(...place)),
      move: (dx, dy) => this.moved(() => this.viewer.move(dx, dy)),
      zoom: (factor, x, y) => this.moved(() => this.viewer.zoom(factor, x, y)),
      window: (right, up) => this.setWindow(dragged(this.viewer.window, right, up)),
      step: (slices) => this.step(slices),
      windows: () => this.tools.tool === "window",
    });
    new ResizeObserver(() => this.draw()).observe(below.parentElement!);
  }

  async open(session: Session, image: ArrayBuffer, window: Window | null): Promise<void> {
    await this.viewer.load(image, session.unit, session.axis, window);
    // A stroke across the change belongs to the unit before.
    this.end();
    this.session = session;
    this.instead = null;
    this.cursor = null;
    this.viewer.show(session.slice);
    this.viewer.fit(session.unit.box);
    this.draw();
    this.watch.shown();
  }

  /** Another channel of the same unit. */
  async picture(image: ArrayBuffer, window: Window | null): Promise<void> {
    const { session } = this;
    if (session === null) return;
    await this.viewer.load(image, session.unit, session.axis, window);
    this.viewer.show(session.slice);
    this.draw();
    this.watch.shown();
  }

  get window(): Window {
    return this.viewer.window;
  }

  get isColour(): boolean {
    return this.viewer.isColour;
  }

  setWindow(window: Window): void {
    if (this.session === null) return;
    this.viewer.window = window;
    this.watch.shown();
  }

  smooth(smooth: boolean): void {
    this.viewer.smooth = smooth;
    this.draw();
  }

  /** Show a neighbour. */
  step(by: number): void {
    this.end();
    if (!this.session?.step(by)) return;
    this.viewer.show(this.session.slice);
    this.draw();
    this.watch.shown();
  }

  home(): void {
    if (this.session === null) return;
    this.session.home();
    this.viewer.show(this.session.slice);
    this.viewer.fit(this.session.unit.box);
    this.draw();
    this.watch.shown();
  }

  zoom(factor: number): void {
    this.moved(() => this.viewer.zoom(factor, this.canvas.clientWidth / 2, this.canvas.clientHeight / 2));
  }

  /** Start a stroke at a voxel of the box's slice. */
  begin(at: Point, erase = false): void {
    const { session } = this;
    const plane = session?.plane ?? null;
    if (session === null || plane === null || session.readOnly || this.instead !== null) return;
    this.end();
    const tools: Tools = erase ? { ...this.tools, tool: "eraser" } : { ...this.tools };
    if (tools.tool === "window") return;
    const [u, v] = inPlane(session.axis);
    const shift = [u, v].map((axis) => session.unit.box.start[axis] - session.unit.slab.start[axis]) as [number, number];
    const slab = this.viewer.brightness();
    const tolerance = ((this.window.max - this.window.min) * tools.tolerance) / 100;
    this.stroke = new Stroke(session, plane, tools, at, (a, b) => slab(a + shift[0], b + shift[1]), tolerance);
    this.cursor = at;
    this.draw();
  }

  go(to: Point): void {
    this.cursor = to;
    this.stroke?.move(to);
    this.draw();
  }

  end(): void {
    const { stroke } = this;
    if (stroke === null) return;
    this.stroke = null;
    if (stroke.end()) this.painted();
    this.draw();
  }

  cancel(): void {
    this.stroke?.cancel();
    this.stroke = null;
    this.draw();
  }

  /** Go on from the cursor by voxels of the screen's axes, as arrow keys do. */
  nudge(right: number, up: number): void {
    const plane = this.session?.plane ?? null;
    if (plane === null) return;
    const from = this.cursor ?? [Math.floor(plane.width / 2), Math.floor(plane.height / 2)];
    const [a, b] = [this.place([0, 0]), this.place([1, 1])];
    const [signU, signV] = [Math.sign(b[0] - a[0]), Math.sign(a[1] - b[1])];
    const clamp = (value: number, size: number) => Math.min(size - 1, Math.max(0, value));
    this.go([clamp(from[0] + signU * right, plane.width), clamp(from[1] + signV * up, plane.height)]);
  }

  /** Voxel of the box's slice the cursor is at, for the keyboard's pen. */
  get at(): Point | null {
    if (this.cursor === null) this.nudge(0, 0);
    return this.cursor;
  }

  undo(): void {
    this.end();
    if (this.session !== null && !this.session.readOnly && this.session.undo()) this.painted();
  }

  redo(): void {
    this.end();
    if (this.session !== null && !this.session.readOnly && this.session.redo()) this.painted();
  }

  /** Replace all labels of the unit, undoably. */
  replace(codes: Uint8Array): void {
    this.end();
    if (this.session !== null && !this.session.readOnly && this.session.replace(codes)) this.painted();
  }

  /** Labels of the session changed by something else than a stroke. */
  painted(): void {
    this.session?.reopen();
    this.draw();
    this.watch.painted();
  }

  /** Client coordinates of the centre of a voxel of the whole image, on the shown slice. */
  clientPoint(voxel: Triple): [number, number] {
    const { session } = this;
    if (session === null) throw new Error("no unit is open");
    const [u, v] = inPlane(session.axis);
    const start = session.unit.box.start;
    const [x, y] = this.place([voxel[u] - start[u], voxel[v] - start[v]]);
    const rect = this.canvas.getBoundingClientRect();
    return [rect.left + x, rect.top + y];
  }

  /** Draw with the next frame, however often it is asked for. */
  draw(): void {
    if (this.frame !== 0) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.paint();
    });
  }

  private paint(): void {
    const { session } = this;
    if (session === null) return;
    const size = sizeOf(session.unit.box);
    const [u, v]: [Axis, Axis] = inPlane(session.axis);
    this.overlay.draw(
      {
        codes: this.instead ?? session.codes,
        plane: session.plane,
        size: [size[u], size[v]],
        opacity: this.opacity,
        hidden: this.hidden,
        cursor: session.readOnly ? null : this.cursor,
        pen: this.tools.tool === "pen" || this.tools.tool === "eraser" ? this.tools.size : 1,
        outline: this.stroke?.outline ?? [],
      },
      (point) => this.place(point),
    );
  }

  private point(cursor: Point | null): void {
    if (cursor?.[0] === this.cursor?.[0] && cursor?.[1] === this.cursor?.[1]) return;
    this.cursor = cursor;
    this.draw();
  }

  private moved(move: () => void): void {
    if (this.session === null) return;
    move();
    this.draw();
  }

  /** CSS pixels of the canvas of a point of the box's slice. */
  private place(point: Point): [number, number] {
    const [u, v] = inPlane(this.session!.axis);
    const { box, slab } = this.session!.unit;
    return this.viewer.canvasPoint([point[0] + box.start[u] - slab.start[u], point[1] + box.start[v] - slab.start[v]]);
  }

  private voxelAt(x: number, y: number): Point {
    if (this.session === null) return [0, 0];
    const [u, v] = inPlane(this.session.axis);
    const { box, slab } = this.session.unit;
    const point = this.viewer.point(x, y);
    return [
      Math.round(point[0] - box.start[u] + slab.start[u]),
      Math.round(point[1] - box.start[v] + slab.start[v]),
    ];
  }
}
