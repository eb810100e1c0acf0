/** Two versions of one unit side by side, and the question which of them is to stay. */

import { decode } from "./codes.ts";
import { ask } from "./dialogs.ts";
import { el } from "./dom.ts";
import type { Work } from "./outbox.ts";
import { type Axis, Plane } from "./plane.ts";
import { sizeOf, type LabelClass, type LabelledUnit } from "./types.ts";

/** A small picture of the box's middle slice, upright. */
function picture(codes: Uint8Array, unit: LabelledUnit, classes: readonly LabelClass[]): HTMLCanvasElement {
  const size = sizeOf(unit.box);
  const axis: Axis = unit.axis ?? 2;
  const plane = new Plane(size, axis, Math.floor((size[axis] - 1) / 2));
  const canvas = el("canvas", { width: plane.width, height: plane.height });
  const context = canvas.getContext("2d")!;
  for (let v = 0; v < plane.height; v++) {
    for (let u = 0; u < plane.width; u++) {
      const code = codes[plane.at(u, v)]!;
      if (code === 0) continue;
      context.fillStyle = classes.find((each) => each.code === code)?.color ?? "#6b5a2a";
      // Radiological, as the page shows slices: the right side on the left.
      context.fillRect(axis === 0 ? u : plane.width - 1 - u, plane.height - 1 - v, 1, 1);
    }
  }
  return canvas;
}

/** Ask which version is to stay; there is no way around an answer. */
export async function askWhich(
  mine: Work,
  theirs: LabelledUnit,
  classes: readonly LabelClass[],
): Promise<"mine" | "theirs"> {
  const other = decode(theirs.labels, mine.codes.length);
  const differ = mine.codes.reduce((n, code, i) => n + Number(code !== other[i]), 0);
  const figure = (codes: Uint8Array, caption: string) =>
    el("figure", {}, picture(codes, theirs, classes), el("figcaption", {}, caption));
  const content = [
    `${theirs.name}, ${theirs.title}: version ${theirs.version} was saved somewhere else, in another window or on ` +
      `another device. ${differ.toLocaleString("en")} voxels differ. The version that is not kept stays among the versions ` +
      "of the server if it was saved there.",
    el("div", { class: "both" }, figure(mine.codes, `Mine: ${mine.status}`), figure(other, `Theirs: ${theirs.status}`)),
  ];
  for (;;) {
    const answer = await ask("Two versions of this unit", content, ["Keep mine", "Keep theirs"]);
    if (answer !== null) return answer === 0 ? "mine" : "theirs";
  }
}
