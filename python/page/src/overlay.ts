/** Labels, what is not annotated yet (hatched), the asked box and the cursor, on a canvas above the picture. */

import type { Plane, Point } from "./plane.ts";
import type { LabelClass } from "./types.ts";

export interface Scene {
  codes: Uint8Array;
  /** Null on a neighbour, where nothing can be painted. */
  plane: Plane | null;
  size: [number, number];
  opacity: number;
  hidden: boolean;
  /** Voxel under the mouse or the keyboard's cursor, and the pen's size. */
  cursor: Point | null;
  pen: number;
  /** Outline that is being drawn. */
  outline: readonly Point[];
}

const NOT_ANNOTATED = [255, 200, 60] as const;

export class Overlay {
  private readonly context: CanvasRenderingContext2D;
  private readonly picture = document.createElement("canvas");
  private readonly colours: Uint8ClampedArray;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly below: HTMLCanvasElement,
    classes: readonly LabelClass[],
    private readonly ignore: number,
  ) {
    this.context = canvas.getContext("2d")!;
    this.colours = new Uint8ClampedArray(256 * 3);
    for (const each of classes) this.colours.set(rgb(each.color), 3 * each.code);
  }

  /**
   * @param place Pixels in CSS of a point of the box's slice.
   */
  draw(scene: Scene, place: (point: Point) => [number, number]): void {
    const { canvas, context } = this;
    if (canvas.width !== this.below.width || canvas.height !== this.below.height) {
      canvas.width = this.below.width;
      canvas.height = this.below.height;
    }
    const ratio = canvas.width / Math.max(1, canvas.clientWidth);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const [x0, y0] = place([-0.5, -0.5]).map((each) => each * ratio) as [number, number];
    const [x1, y1] = place([0.5, 0.5]).map((each) => each * ratio) as [number, number];
    context.setTransform(x1 - x0, 0, 0, y1 - y0, x0, y0);
    if (scene.plane !== null && !scene.hidden) this.labels(scene, scene.plane);
    context.setTransform(1, 0, 0, 1, 0, 0);
    const at = (u: number, v: number): [number, number] => [x0 + u * (x1 - x0), y0 + v * (y1 - y0)];
    this.frame(scene, at, ratio);
    this.line(scene.outline, at, ratio);
    if (scene.plane !== null && scene.cursor !== null) this.cursor(scene.cursor, scene.pen, at, ratio);
  }

  private labels(scene: Scene, plane: Plane): void {
    const { picture } = this;
    [picture.width, picture.height] = [plane.width, plane.height];
    const context = picture.getContext("2d")!;
    const image = context.createImageData(plane.width, plane.height);
    const alpha = Math.round(255 * scene.opacity);
    for (let v = 0; v < plane.height; v++) {
      for (let u = 0; u < plane.width; u++) {
        const code = scene.codes[plane.at(u, v)]!;
        if (code === 0) continue;
        const i = 4 * (u + v * plane.width);
        if (code === this.ignore) {
          image.data.set(NOT_ANNOTATED, i);
          image.data[i + 3] = (u + v) % 4 === 0 ? 110 : 26;
        } else {
          image.data.set(this.colours.subarray(3 * code, 3 * code + 3), i);
          image.data[i + 3] = alpha;
        }
      }
    }
    context.putImageData(image, 0, 0);
    this.context.imageSmoothingEnabled = false;
    this.context.drawImage(picture, 0, 0);
  }

  private frame(scene: Scene, at: (u: number, v: number) => [number, number], ratio: number): void {
    const [a, b] = [at(0, 0), at(...scene.size)];
    this.context.lineWidth = 1.5 * ratio;
    this.context.strokeStyle = scene.plane === null ? "#8a8f98" : "#56b4e9";
    this.context.setLineDash(scene.plane === null ? [6 * ratio, 6 * ratio] : []);
    this.context.strokeRect(Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.abs(b[0] - a[0]), Math.abs(b[1] - a[1]));
    this.context.setLineDash([]);
  }

  private line(points: readonly Point[], at: (u: number, v: number) => [number, number], ratio: number): void {
    if (points.length < 2) return;
    this.context.beginPath();
    for (const [u, v] of points) this.context.lineTo(...at(u + 0.5, v + 0.5));
    this.context.closePath();
    this.context.lineWidth = ratio;
    this.context.strokeStyle = "#ffffff";
    this.context.stroke();
  }

  private cursor(cursor: Point, pen: number, at: (u: number, v: number) => [number, number], ratio: number): void {
    const [x, y] = at(cursor[0] + (pen % 2 ? 0.5 : 0), cursor[1] + (pen % 2 ? 0.5 : 0));
    const [right, top] = at(cursor[0] + (pen % 2 ? 0.5 : 0) + pen / 2, cursor[1] + (pen % 2 ? 0.5 : 0) + pen / 2);
    for (const [colour, width] of [["#000000", 3], ["#ffffff", 1.5]] as const) {
      this.context.beginPath();
      this.context.ellipse(x, y, Math.abs(right - x), Math.abs(top - y), 0, 0, 2 * Math.PI);
      this.context.lineWidth = width * ratio;
      this.context.strokeStyle = colour;
      this.context.stroke();
    }
  }
}

function rgb(colour: string): [number, number, number] {
  const number = /^#[0-9a-f]{6}$/i.test(colour) ? parseInt(colour.slice(1), 16) : 0xffffff;
  return [number >> 16, (number >> 8) & 255, number & 255];
}
