/** The reviewer's part: accept, send back, and look at what another annotator drew of the same unit. */

import type { App } from "./app.ts";
import { banner } from "./banners.ts";
import { decode } from "./codes.ts";
import { askText } from "./dialogs.ts";
import { byId } from "./dom.ts";
import { keyOf, type Unit, type Verdict } from "./types.ts";

export class Review {
  /** The annotator whose labels are shown instead. */
  private compared: string | null = null;

  constructor(private readonly app: App) {}

  accept(): Promise<void> {
    return this.say("accepted", "");
  }

  async sendBack(): Promise<void> {
    const remark = await askText("Send back", "What is to be changed?", "", "Send back");
    if (remark !== null) await this.say("returned", remark);
  }

  /** Show the labels of the next annotator of this unit, and at last those that are reviewed again. */
  async compare(): Promise<void> {
    const { app } = this;
    const unit = app.session?.unit;
    if (unit === undefined) return;
    const names = app.list.all.filter((each) => each.rank === unit.rank).map((each) => each.annotator);
    const shown = app.workspace.instead === null ? unit.annotator : (this.compared ?? unit.annotator);
    const next = names[(names.indexOf(shown) + 1) % names.length]!;
    if (names.length < 2) {
      byId("saving").textContent = "nobody else has this unit";
      return;
    }
    try {
      const other = next === unit.annotator ? null : await app.api.unit(unit.rank, next);
      app.workspace.instead = other === null ? null : decode(other.labels, app.session!.codes.length);
      this.compared = next;
      byId("saving").textContent = `labels of ${next}`;
      app.workspace.draw();
    } catch (error) {
      banner("review", error instanceof Error ? error.message : String(error), true);
    }
  }

  private async say(verdict: Verdict, remark: string): Promise<void> {
    const { app } = this;
    const unit = app.session?.unit;
    if (unit === undefined) return;
    try {
      const review = { annotator: unit.annotator, base: unit.version, verdict, remark };
      app.saved(await app.api.review(unit.rank, review));
      banner("review", null);
      const next = app.list.next(keyOf(unit), waits);
      if (next !== undefined) await app.open(next);
    } catch (error) {
      // Mostly: the annotator has saved another version in the meantime, which has to be seen first.
      banner("review", `Not reviewed: ${error instanceof Error ? error.message : String(error)}`, true);
      await app.open(unit);
    }
  }
}

/** Whether a unit is finished and nobody has said anything about it. */
export function waits(unit: Unit): boolean {
  return unit.verdict === null && (unit.status === "done" || unit.status === "skip");
}
