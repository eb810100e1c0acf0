/** Undo and redo of a box of labels. States are kept compressed, up to a number of bytes. */

import { unzlibSync, zlibSync } from "fflate";

export class History {
  private past: Uint8Array[] = [];
  private future: Uint8Array[] = [];

  /** @param bytes Compressed states that are kept; the oldest go first. */
  constructor(private readonly bytes = 32 * 2 ** 20) {}

  /** Remember a state that is about to change. */
  push(codes: Uint8Array): void {
    this.past.push(zlibSync(codes, { level: 1 }));
    this.future = [];
    let kept = this.past.reduce((sum, state) => sum + state.length, 0);
    while (kept > this.bytes && this.past.length > 1) kept -= this.past.shift()!.length;
  }

  get canUndo(): boolean {
    return this.past.length > 0;
  }

  get canRedo(): boolean {
    return this.future.length > 0;
  }

  /** Return the state before `codes`, or null at the beginning. */
  undo(codes: Uint8Array): Uint8Array | null {
    return step(this.past, this.future, codes);
  }

  /** Return the state that was undone last, or null. */
  redo(codes: Uint8Array): Uint8Array | null {
    return step(this.future, this.past, codes);
  }
}

function step(from: Uint8Array[], to: Uint8Array[], codes: Uint8Array): Uint8Array | null {
  const state = from.pop();
  if (state === undefined) return null;
  to.push(zlibSync(codes, { level: 1 }));
  return unzlibSync(state);
}
