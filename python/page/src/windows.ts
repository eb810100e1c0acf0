/** Brightness windows: from which value to which the picture runs from black to white. */

export interface Window {
  min: number;
  max: number;
}

/** Level and width in Hounsfield units as radiology has them. */
export const CT_PRESETS: readonly { name: string; level: number; width: number }[] = [
  { name: "Soft tissue", level: 40, width: 400 },
  { name: "Lung", level: -600, width: 1500 },
  { name: "Bone", level: 400, width: 1800 },
  { name: "Brain", level: 40, width: 80 },
  { name: "Liver", level: 60, width: 160 },
  { name: "Mediastinum", level: 50, width: 350 },
  { name: "Angio", level: 300, width: 600 },
];

export function windowOf(level: number, width: number): Window {
  return { min: level - width / 2, max: level + width / 2 };
}

/**
 * The window after a drag: to the right wider, upwards a lower level, which is brighter.
 *
 * @param right Pixels.
 * @param up Pixels.
 */
export function dragged(from: Window, right: number, up: number): Window {
  const width = from.max - from.min;
  const level = (from.max + from.min) / 2 - (up * width) / 300;
  const wider = Math.max(width * Math.exp(right / 200), 1e-6 * Math.max(1, Math.abs(level)));
  return windowOf(level, wider);
}
