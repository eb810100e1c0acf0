/** Lines above the page, one for each matter. */

import { byId, el } from "./dom.ts";

/** Show a line, or take it away with null. */
export function banner(matter: string, text: string | null, bad = false, ...more: Node[]): void {
  const id = `banner-${matter}`;
  const old = document.getElementById(id);
  if (text === null) {
    old?.remove();
    return;
  }
  if (old !== null && old.firstChild?.textContent === text && more.length === 0) return;
  const line = el("p", { id, class: bad ? "bad" : "" }, el("span", {}, text), ...more);
  if (old === null) byId("banners").append(line);
  else old.replaceWith(line);
}
