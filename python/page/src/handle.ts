/** `window.albench`: what tests of the page may look at. The page itself does not use it. */

import type { App } from "./app.ts";
import { keyOf, type Triple } from "./types.ts";

export interface Handle {
  /** Whether the unit that was chosen last is open, its slice drawn. */
  ready(): boolean;
  /** The open unit as the page holds it, or null. */
  unit(): object | null;
  /** Codes of its box as the page holds them, x fastest. */
  codes(): number[];
  /** Client coordinates of a voxel's centre on the shown slice; x, y, z count in the whole image. */
  canvasPoint(x: number, y: number, z: number): [number, number];
  /** Whether the server has everything: of the open unit's key, or of all. */
  saved(): boolean;
  /** Milliseconds from navigation to the first slice, or null. */
  firstSlice(): number | null;
}

declare global {
  interface Window {
    albench?: Handle;
  }
}

export function offerHandle(app: App): void {
  window.albench = {
    ready: () => app.opened,
    unit: () => {
      const { session } = app;
      if (session === null) return null;
      const { status, slice, axis } = session;
      return { ...session.unit, key: keyOf(session.unit), status, slice, shown_axis: axis };
    },
    codes: () => [...(app.session?.codes ?? [])],
    canvasPoint: (...voxel: Triple) => app.workspace.clientPoint(voxel),
    saved: () => !app.outbox.unsent(),
    firstSlice: () => app.firstSlice,
  };
}
