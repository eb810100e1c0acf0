/** Labels on the wire: one byte a voxel of the box, x fastest, as base64 of a zlib stream. */

import { unzlibSync, zlibSync } from "fflate";

export function encode(codes: Uint8Array): string {
  const packed = zlibSync(codes, { level: 6 });
  let text = "";
  for (let i = 0; i < packed.length; i += 0x8000) text += String.fromCharCode(...packed.subarray(i, i + 0x8000));
  return btoa(text);
}

/** @throws RangeError Not `length` codes. */
export function decode(encoded: string, length: number): Uint8Array {
  const text = atob(encoded);
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const codes = unzlibSync(packed);
  if (codes.length !== length) throw new RangeError(`labels: expected ${length} voxels, found ${codes.length}`);
  return codes;
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((code, i) => code === b[i]);
}

export function count(codes: Uint8Array, code: number): number {
  let n = 0;
  for (const each of codes) if (each === code) n++;
  return n;
}
