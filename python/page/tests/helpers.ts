/** Small boxes written as text: a row a line, the top row last, a digit a voxel, `.` for background. */

import { Plane } from "../src/plane.ts";

export function slice(text: string): { codes: Uint8Array; plane: Plane } {
  const rows = text.trim().split("\n").map((row) => row.trim());
  const width = rows[0]!.length;
  const codes = Uint8Array.from(rows.join(""), (digit) => (digit === "." ? 0 : Number(digit)));
  return { codes, plane: new Plane([width, rows.length, 1], 2, 0) };
}

export function shown(codes: Uint8Array, width: number): string[] {
  const digits = [...codes].map((code) => (code === 0 ? "." : String(code))).join("");
  return digits.match(new RegExp(`.{${width}}`, "g")) ?? [];
}
