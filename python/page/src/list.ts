/** The list of asked units and how far they are. Status is a shape and a word, never a colour alone. */

import { byId, duration, el } from "./dom.ts";
import { keyOf, type Unit } from "./types.ts";

export function statusOf(unit: Unit): { shape: string; word: string } {
  if (unit.verdict === "accepted") return { shape: "✓", word: "accepted" };
  if (unit.verdict === "returned") return { shape: "↩", word: "sent back" };
  return {
    open: { shape: "○", word: "open" },
    later: { shape: "◐", word: "later" },
    done: { shape: "●", word: "done" },
    skip: { shape: "✕", word: "skipped" },
  }[unit.status];
}

/** Whether the annotator still has to do something. */
export function isOpen(unit: Unit): boolean {
  return unit.verdict === "returned" || unit.status === "open" || unit.status === "later";
}

export class UnitList {
  private readonly units: Unit[];
  private readonly rows = new Map<string, HTMLButtonElement>();

  /** @param named Whether the rows say who annotates. */
  constructor(
    units: readonly Unit[],
    private readonly named: boolean,
    chosen: (unit: Unit) => void,
  ) {
    this.units = [...units];
    for (const unit of units) {
      const row = el("button", { type: "button" });
      const key = keyOf(unit);
      row.addEventListener("click", () => chosen(this.of(key)!));
      this.rows.set(key, row);
      byId("units").append(el("li", {}, row));
      this.fill(unit);
    }
    this.count();
  }

  get all(): readonly Unit[] {
    return this.units;
  }

  of(key: string): Unit | undefined {
    return this.units.find((unit) => keyOf(unit) === key);
  }

  update(unit: Unit): void {
    const i = this.units.findIndex((each) => keyOf(each) === keyOf(unit));
    if (i < 0) return;
    this.units[i] = unit;
    this.fill(unit);
    this.count();
  }

  mark(key: string): void {
    for (const [each, row] of this.rows) row.setAttribute("aria-current", String(each === key));
    this.rows.get(key)?.scrollIntoView({ block: "nearest" });
  }

  neighbour(key: string, by: number): Unit | undefined {
    const i = this.units.findIndex((unit) => keyOf(unit) === key);
    return this.units[i + by];
  }

  /** The next after `key` that passes, around the end. */
  next(key: string, passes: (unit: Unit) => boolean): Unit | undefined {
    const i = this.units.findIndex((unit) => keyOf(unit) === key);
    return [...this.units.slice(i + 1), ...this.units.slice(0, Math.max(0, i))].find(passes);
  }

  private fill(unit: Unit): void {
    const { shape, word } = statusOf(unit);
    this.rows.get(keyOf(unit))!.replaceChildren(
      el("span", { class: "rank" }, `${unit.rank}.`),
      el("span", {}, unit.name),
      el("span", { class: "status" }, el("span", { aria: { hidden: "true" } }, shape), word),
      el("span", { class: "more" }, this.named ? `${unit.title}, ${unit.annotator}` : unit.title),
    );
  }

  private count(): void {
    const finished = this.units.filter((unit) => !isOpen(unit)).length;
    const seconds = this.units.reduce((sum, unit) => sum + unit.seconds, 0);
    const bar = byId<HTMLProgressElement>("progress");
    bar.max = Math.max(1, this.units.length);
    bar.value = finished;
    byId("counts").textContent = `${finished} of ${this.units.length} finished, ${duration(seconds)}`;
  }
}
