/**
 * Mouse, pen and fingers on the picture. The left button, a pen or one finger draws; two fingers, the middle button or
 * Shift move and enlarge; the right button sets the window. Once a pen has been seen, single fingers move the picture.
 */

export interface Gestures {
  press(x: number, y: number, erase: boolean): void;
  drag(x: number, y: number): void;
  release(): void;
  /** The stroke was the first finger of two. */
  cancel(): void;
  hover(place: [x: number, y: number] | null): void;
  move(dx: number, dy: number): void;
  zoom(factor: number, x: number, y: number): void;
  window(right: number, up: number): void;
  step(slices: number): void;
  /** Whether the left button sets the window. */
  windows(): boolean;
}

type Mode = "draw" | "move" | "window" | "pinch" | null;

const ERASER = 32;
const WHEEL_STEP = 60;

export class Pointers {
  private readonly down = new Map<number, [x: number, y: number]>();
  private mode: Mode = null;
  private penSeen = false;
  private wheel = 0;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly gestures: Gestures,
  ) {
    canvas.addEventListener("pointerdown", (event) => this.pressed(event));
    canvas.addEventListener("pointermove", (event) => this.moved(event));
    canvas.addEventListener("pointerup", (event) => this.lifted(event, false));
    canvas.addEventListener("pointercancel", (event) => this.lifted(event, true));
    canvas.addEventListener("pointerleave", () => this.gestures.hover(null));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.rolled(event), { passive: false });
  }

  private pressed(event: PointerEvent): void {
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    if (event.pointerType === "pen") this.penSeen = true;
    const place = this.place(event);
    this.down.set(event.pointerId, place);
    if (this.down.size === 2) {
      if (this.mode === "draw") this.gestures.cancel();
      this.mode = "pinch";
      return;
    }
    if (this.mode !== null) return;
    const finger = event.pointerType === "touch" && this.penSeen;
    if (event.button === 1 || event.shiftKey || finger) this.mode = "move";
    else if (event.button === 2 || this.gestures.windows()) this.mode = "window";
    else {
      this.mode = "draw";
      this.gestures.press(...place, event.pointerType === "pen" && (event.buttons & ERASER) !== 0);
    }
  }

  private moved(event: PointerEvent): void {
    const place = this.place(event);
    const before = this.down.get(event.pointerId);
    if (before === undefined) {
      this.gestures.hover(place);
      return;
    }
    if (this.mode === "draw") {
      const events = event.getCoalescedEvents?.() ?? [];
      for (const each of events.length > 0 ? events : [event]) this.gestures.drag(...this.place(each));
    } else if (this.mode === "move") this.gestures.move(place[0] - before[0], place[1] - before[1]);
    else if (this.mode === "window") this.gestures.window(place[0] - before[0], before[1] - place[1]);
    else if (this.mode === "pinch") this.pinched(event.pointerId, before, place);
    this.down.set(event.pointerId, place);
  }

  private pinched(id: number, before: [number, number], after: [number, number]): void {
    const other = [...this.down].find(([each]) => each !== id)?.[1];
    if (other === undefined) return;
    const apart = (a: [number, number]) => Math.max(1, Math.hypot(a[0] - other[0], a[1] - other[1]));
    this.gestures.move((after[0] - before[0]) / 2, (after[1] - before[1]) / 2);
    this.gestures.zoom(apart(after) / apart(before), (after[0] + other[0]) / 2, (after[1] + other[1]) / 2);
  }

  private lifted(event: PointerEvent, cancelled: boolean): void {
    if (!this.down.delete(event.pointerId)) return;
    if (this.mode === "draw") {
      if (cancelled) this.gestures.cancel();
      else this.gestures.release();
    }
    // The second of two fingers goes on with nothing, so that no line is left when a hand is lifted.
    if (this.down.size === 0 || this.mode !== "pinch") this.mode = null;
  }

  private rolled(event: WheelEvent): void {
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) {
      this.gestures.zoom(Math.exp(-event.deltaY / 300), ...this.place(event));
      return;
    }
    this.wheel += event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * 20 : event.deltaY;
    const steps = Math.trunc(this.wheel / WHEEL_STEP);
    this.wheel -= steps * WHEEL_STEP;
    if (steps !== 0) this.gestures.step(-steps);
  }

  private place(event: MouseEvent): [number, number] {
    const rect = this.canvas.getBoundingClientRect();
    return [event.clientX - rect.left, event.clientY - rect.top];
  }
}
