/** The picture of one slice, by NiiVue, and where its voxels are on the screen. NiiVue hears of no mouse or key. */

import { Niivue, NVImage, SLICE_TYPE } from "@niivue/niivue";
import { type Axis, inPlane, type Point } from "./plane.ts";
import { sizeOf, type Span, type Triple, type Unit } from "./types.ts";
import type { Window } from "./windows.ts";

export const SLICE_TYPES = [SLICE_TYPE.SAGITTAL, SLICE_TYPE.CORONAL, SLICE_TYPE.AXIAL] as const;

/** NIfTI-1 data type of red, green and blue bytes. */
const RGB24 = 128;

/** Along each axis of the picture: pixels of the canvas = scale * voxels of the slab + shift. */
interface Placement {
  scale: [number, number];
  shift: [number, number];
}

export class Viewer {
  private readonly nv: Niivue;
  private volume: NVImage | null = null;
  private slab: Span = { start: [0, 0, 0], stop: [1, 1, 1] };
  private axis: Axis = 2;
  private slice = 0;

  private constructor(private readonly canvas: HTMLCanvasElement) {
    this.nv = new Niivue({
      interactive: false,
      // Every setting of its size, to the same one too, makes the canvas anew, which NiiVue does three times at the start.
      isResizeCanvas: false,
      crosshairWidth: 0,
      isRadiologicalConvention: true,
      isNearestInterpolation: true,
      dragAndDropEnabled: false,
      backColor: [0, 0, 0, 1],
      fontColor: [0.8, 0.8, 0.8, 1],
      loadingText: "",
      sliceType: SLICE_TYPE.AXIAL,
      logLevel: "error",
    });
  }

  static async on(canvas: HTMLCanvasElement): Promise<Viewer> {
    const viewer = new Viewer(canvas);
    // There are no meshes: their shaders need not be compiled, which takes a third of the start.
    viewer.nv.meshShaders = [];
    viewer.resize();
    await viewer.nv.attachToCanvas(canvas, false);
    new ResizeObserver(() => {
      if (viewer.resize()) viewer.nv.drawScene();
    }).observe(canvas);
    return viewer;
  }

  /** Give the canvas as many pixels as the screen has for it; false if it has them. */
  private resize(): boolean {
    const { canvas, nv } = this;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((size) => Math.max(1, Math.round(size * ratio)));
    if (canvas.width === width && canvas.height === height) return false;
    [canvas.width, canvas.height] = [width!, height!];
    nv.uiData.dpr = ratio;
    return true;
  }

  /** Show a slab of a unit's image. */
  async load(nifti: ArrayBuffer, unit: Unit, axis: Axis, window: Window | null): Promise<void> {
    const volume = await NVImage.loadFromUrl({ url: "slab.nii", name: "slab.nii", buffer: nifti });
    const size = sizeOf(unit.slab);
    if (volume.dimsRAS === undefined || size.some((n, i) => volume.dimsRAS![i + 1] !== n)) {
      throw new Error(`image: expected ${size.join(" x ")} voxels, found ${volume.dimsRAS?.slice(1, 4).join(" x ")}`);
    }
    if (window !== null) [volume.cal_min, volume.cal_max] = [window.min, window.max];
    this.volume = volume;
    this.slab = unit.slab;
    this.axis = axis;
    this.nv.opts.sliceType = SLICE_TYPES[axis];
    this.nv.volumes = [];
    this.nv.addVolume(volume);
  }

  get isColour(): boolean {
    return this.volume?.hdr?.datatypeCode === RGB24;
  }

  get window(): Window {
    return { min: this.volume?.cal_min ?? 0, max: this.volume?.cal_max ?? 1 };
  }

  set window(window: Window) {
    if (this.volume === null || this.isColour) return;
    [this.volume.cal_min, this.volume.cal_max] = [window.min, window.max];
    this.nv.updateGLVolume();
  }

  set smooth(smooth: boolean) {
    this.nv.setInterpolation(!smooth);
  }

  /** Show a slice, counted in the whole image. */
  show(slice: number): void {
    this.slice = slice;
    const place = this.fraction([0, 0]);
    this.nv.scene.crosshairPos = place;
    this.nv.drawScene();
  }

  /** Show all of the box and little more. */
  fit(box: Span): void {
    const [outer, inner] = [sizeOf(this.slab), sizeOf(box)];
    const axes = inPlane(this.axis);
    const whole = axes.every((a) => inner[a] >= 0.9 * outer[a]);
    if (whole) {
      this.pan([0, 0, 0], 1);
      return;
    }
    const zoom = Math.max(1, 0.8 * Math.min(...axes.map((a) => outer[a] / inner[a])));
    const middle = box.start.map((start, a) => (start + box.stop[a]! - 1) / 2 - this.slab.start[a]!) as Triple;
    const [centre, target] = [this.nv.frac2mm([0.5, 0.5, 0.5]), this.nv.frac2mm(this.nv.vox2frac(middle))];
    this.pan([0, 1, 2].map((a) => centre[a]! - zoom * target[a]!) as Triple, zoom);
  }

  /** Enlarge by `factor` around a point of the canvas (CSS pixels). */
  zoom(factor: number, x: number, y: number): void {
    const pan = this.nv.scene.pan2Dxyzmm;
    const zoom = Math.min(40, Math.max(0.5, pan[3]! * factor));
    const fixed = this.nv.frac2mm(this.fraction(this.point(x, y)));
    const moved = [0, 1, 2].map((a) => pan[a]! + fixed[a]! * (pan[3]! - zoom)) as Triple;
    this.pan(moved, zoom);
  }

  /** Move the picture by CSS pixels. */
  move(dx: number, dy: number): void {
    const pan = this.nv.scene.pan2Dxyzmm;
    const [from, to] = [this.point(0, 0), this.point(dx, dy)].map((point) => this.nv.frac2mm(this.fraction(point)));
    this.pan([0, 1, 2].map((a) => pan[a]! + pan[3]! * (to![a]! - from![a]!)) as Triple, pan[3]!);
  }

  /** Where a point of the slice is, in CSS pixels of the canvas; whole numbers are centres of voxels of the slab. */
  canvasPoint(point: Point): [x: number, y: number] {
    const { scale, shift } = this.placement();
    return [this.css(scale[0] * point[0] + shift[0]), this.css(scale[1] * point[1] + shift[1])];
  }

  /** The point of the slice under CSS pixels of the canvas. */
  point(x: number, y: number): Point {
    const { scale, shift } = this.placement();
    const ratio = this.canvas.width / Math.max(1, this.canvas.clientWidth);
    return [(x * ratio - shift[0]) / scale[0], (y * ratio - shift[1]) / scale[1]];
  }

  /** Brightness of voxels of the shown slice, in the image's units; of photographs the mean of the colours. */
  brightness(): (u: number, v: number) => number {
    const { img, hdr } = this.volume!;
    const size = sizeOf(this.slab);
    const steps = [1, size[0], size[0] * size[1]] as const;
    const [u, v] = inPlane(this.axis);
    const offset = steps[this.axis] * (this.slice - this.slab.start[this.axis]);
    const values = img as ArrayLike<number>;
    if (this.isColour) {
      return (a, b) => {
        const i = 3 * (offset + a * steps[u] + b * steps[v]);
        return (values[i]! + values[i + 1]! + values[i + 2]!) / 3;
      };
    }
    const [slope, inter] = [hdr!.scl_slope || 1, hdr!.scl_inter || 0];
    return (a, b) => values[offset + a * steps[u] + b * steps[v]]! * slope + inter;
  }

  private pan(to: Triple, zoom: number): void {
    this.nv.setPan2Dxyzmm([...to, zoom]);
  }

  private fraction(point: Point): Triple {
    const [u, v] = inPlane(this.axis);
    const voxel: Triple = [0, 0, 0];
    voxel[u] = point[0];
    voxel[v] = point[1];
    voxel[this.axis] = this.slice - this.slab.start[this.axis];
    return [...this.nv.vox2frac(voxel)] as Triple;
  }

  /** NiiVue says which millimetres the canvas shows; a slice lies straight on it, so both axes are linear. */
  private placement(): Placement {
    const tile = this.nv.screenSlices[0];
    if (tile === undefined) throw new Error("no slice is shown yet");
    const axes = inPlane(this.axis);
    const [left, top, width, height] = tile.leftTopWidthHeight as [number, number, number, number];
    const mm = [this.nv.frac2mm(this.fraction([0, 0])), this.nv.frac2mm(this.fraction([1, 1]))];
    const along = (i: 0 | 1, size: number): [number, number] => {
      const pixels = mm.map((place) => ((place[axes[i]]! - tile.leftTopMM[i]!) / tile.fovMM[i]!) * size);
      return [pixels[1]! - pixels[0]!, pixels[0]!];
    };
    const [scaleX, shiftX] = along(0, width);
    const [scaleY, shiftY] = along(1, height);
    return { scale: [scaleX, -scaleY], shift: [left + shiftX, top + height - shiftY] };
  }

  private css(pixels: number): number {
    return (pixels * this.canvas.clientWidth) / this.canvas.width;
  }
}
