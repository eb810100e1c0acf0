/** The whole image in three planes, to look at only, with the crosshair on the asked unit. */

import { Niivue, NVImage, SHOW_RENDER, SLICE_TYPE } from "@niivue/niivue";
import { byId } from "./dom.ts";
import type { Triple, Unit } from "./types.ts";
import type { Window } from "./windows.ts";

export class Planes {
  private nv: Niivue | null = null;
  private shown = "";

  get open(): boolean {
    return !byId("planes").hidden;
  }

  close(): void {
    byId("planes").hidden = true;
  }

  /** @param image Reads the whole image. */
  async show(unit: Unit, channel: number, window: Window, image: () => Promise<ArrayBuffer>): Promise<void> {
    byId("planes").hidden = false;
    const nv = this.nv ?? (this.nv = await viewer());
    const which = `${unit.case}/${channel}`;
    if (this.shown !== which) {
      nv.volumes = [];
      nv.addVolume(await NVImage.loadFromUrl({ url: "image.nii", name: "image.nii", buffer: await image() }));
      this.shown = which;
    }
    const volume = nv.volumes[0]!;
    [volume.cal_min, volume.cal_max] = [window.min, window.max];
    const middle = unit.box.start.map((start, a) => Math.floor((start + unit.box.stop[a]! - 1) / 2)) as Triple;
    nv.scene.crosshairPos = nv.vox2frac(middle);
    nv.resizeListener();
    nv.updateGLVolume();
  }
}

async function viewer(): Promise<Niivue> {
  const nv = new Niivue({
    isRadiologicalConvention: true,
    multiplanarShowRender: SHOW_RENDER.NEVER,
    crosshairWidth: 0.3,
    crosshairWidthUnit: "percent",
    crosshairColor: [0.34, 0.71, 0.91, 0.7],
    dragAndDropEnabled: false,
    loadingText: "",
    logLevel: "error",
  });
  nv.meshShaders = [];
  await nv.attachToCanvas(byId<HTMLCanvasElement>("whole"), false);
  nv.setSliceType(SLICE_TYPE.MULTIPLANAR);
  return nv;
}
