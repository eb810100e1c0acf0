/** Which unit is open, what happens to it, and who is told. */

import { Offline, Refused, type Api } from "./api.ts";
import { banner } from "./banners.ts";
import type { Clock } from "./clock.ts";
import { askWhich } from "./compare.ts";
import { ask } from "./dialogs.ts";
import { button, byId } from "./dom.ts";
import type { Images } from "./images.ts";
import { isOpen, type UnitList } from "./list.ts";
import type { Outbox, Work } from "./outbox.ts";
import type { Panel } from "./panel.ts";
import { Session } from "./session.ts";
import type { Tabs } from "./tabs.ts";
import { keyOf, type LabelledUnit, type Query, type Status, type Unit } from "./types.ts";
import { CT_PRESETS, windowOf, type Window } from "./windows.ts";
import type { Workspace } from "./workspace.ts";

const TRY_AGAIN = 1500;

export class App {
  channel = 0;
  /** Milliseconds since navigation at which the first slice was there. */
  firstSlice: number | null = null;
  outbox!: Outbox;
  workspace!: Workspace;
  panel!: Panel;
  list!: UnitList;
  tabs: Tabs | null = null;
  /** Window of each channel of CT, which has a scale of its own; other images begin anew. */
  private readonly windows = new Map<number, Window>();
  private opening = 0;
  /** Whether the unit that was chosen last is shown. */
  opened = false;

  constructor(
    readonly api: Api,
    readonly query: Query,
    readonly clock: Clock,
    readonly images: Images,
  ) {}

  get reviews(): boolean {
    return this.query.me.role === "reviewer";
  }

  get session(): Session | null {
    return this.workspace.session;
  }

  /** Show a unit; waits for a server that is away. */
  async open(unit: Unit): Promise<void> {
    const turn = ++this.opening;
    this.opened = false;
    if (this.session === null || keyOf(this.session.unit) !== keyOf(unit)) this.leave();
    // Waiting for a unit is work on none.
    this.clock.show(null);
    this.list.mark(keyOf(unit));
    for (;;) {
      try {
        const [labelled, image] = await Promise.all([this.read(unit), this.images.slab(unit.rank, this.channel)]);
        if (turn !== this.opening) return;
        await this.show(labelled, image);
        this.opened = true;
        break;
      } catch (error) {
        if (turn !== this.opening) return;
        if (!(error instanceof Offline)) {
          banner("open", `Unit ${unit.rank}: ${explained(error)}`, true);
          if (this.session !== null && !this.session.readOnly) this.clock.show(keyOf(this.session.unit));
          return;
        }
        banner("open", "The server does not answer. This page waits for it.", true);
        await new Promise((resolve) => setTimeout(resolve, TRY_AGAIN));
        if (turn !== this.opening) return;
      }
    }
    banner("open", null);
    const next = this.list.next(keyOf(unit), isOpen);
    if (next !== undefined) void this.images.slab(next.rank, this.channel).catch(() => undefined);
  }

  /** Send time that was spent on the open unit without a change. */
  leave(): void {
    const { session } = this;
    if (session === null || session.readOnly) return;
    this.workspace.end();
    const key = keyOf(session.unit);
    this.clock.show(null);
    // A change would take a reviewer's verdict away; looking again is none.
    if (session.unit.verdict === null && !this.outbox.unsent(key) && this.clock.peek(key) >= 1) {
      this.outbox.change(session.work(false));
    }
    this.clock.show(key);
  }

  /** Labels of the open unit changed. */
  painted(): void {
    if (this.session === null) return;
    this.session.allowUnlabelled = false;
    this.outbox.change(this.session.work(true));
    this.panel.show();
  }

  commented(text: string): void {
    const { session } = this;
    if (session === null || session.readOnly) return;
    session.comment = text;
    this.outbox.change(session.work(false));
  }

  /** The annotator is finished with the open unit, one way or the other; goes on to the next open one. */
  async finish(status: Status): Promise<void> {
    const { session } = this;
    if (session === null || session.readOnly) return;
    this.workspace.end();
    session.allowUnlabelled = false;
    if (status === "done" && session.unlabelled > 0 && !(await this.settleGaps(session))) return;
    if (session !== this.session) return;
    session.status = status;
    this.outbox.change(session.work(false));
    // The list need not wait for the server.
    this.list.update({ ...session.unit, status, verdict: null });
    const next = this.list.next(keyOf(session.unit), isOpen);
    if (next !== undefined) await this.open(next);
    else {
      this.outbox.flush();
      this.panel.show();
      await ask("Nothing is left open", ["All your units are finished or skipped."], ["Good"]);
    }
  }

  /** What is to become of voxels that nobody has annotated; false if the annotator goes on painting. */
  private async settleGaps(session: Session): Promise<boolean> {
    const text = `${session.unlabelled.toLocaleString("en")} voxels of this unit are not annotated yet (hatched).`;
    const answers = ["They are background", "Leave them out", "Go on annotating"];
    const answer = await ask("Some voxels have no label", [text], answers);
    if (answer === 0) {
      session.restIsBackground();
      this.workspace.painted();
    }
    session.allowUnlabelled = answer === 1;
    return answer === 0 || answer === 1;
  }

  go(by: number): void {
    if (this.session === null) return;
    const unit = this.list.neighbour(keyOf(this.session.unit), by);
    if (unit !== undefined) void this.open(unit);
  }

  predicted(): void {
    if (this.session !== null) this.workspace.replace(this.session.handedOut);
  }

  rest(): void {
    const { session } = this;
    if (session === null || session.readOnly) return;
    if (session.restIsBackground() > 0) this.workspace.painted();
  }

  async showChannel(channel: number): Promise<void> {
    this.channel = channel;
    const { session } = this;
    if (session === null) return;
    try {
      await this.workspace.picture(await this.images.slab(session.unit.rank, channel), this.window());
    } catch (error) {
      banner("open", explained(error), true);
    }
  }

  setWindow(window: Window): void {
    this.workspace.setWindow(window);
    this.windowed();
  }

  /** The window may have been dragged: keep it for the next unit. */
  windowed(): void {
    if (this.query.is_ct[this.channel] && this.session !== null) this.windows.set(this.channel, this.workspace.window);
  }

  saved(unit: Unit): void {
    this.list.update(unit);
    if (this.session !== null && keyOf(this.session.unit) === keyOf(unit)) {
      this.session.unit = unit;
      this.panel.show();
    }
    this.tabs?.saved(keyOf(unit), unit.version);
  }

  /** Another tab saved a version. */
  async savedElsewhere(key: string, version: number): Promise<void> {
    const known = this.list.of(key);
    if (known === undefined || known.version >= version || this.outbox.unsent(key)) return;
    const unit = await this.api.unit(known.rank).catch(() => null);
    if (unit === null || this.outbox.unsent(key)) return;
    this.list.update(unit);
    this.outbox.known(unit);
    if (this.session !== null && keyOf(this.session.unit) === key) await this.open(unit);
  }

  async collided(mine: Work, theirs: LabelledUnit): Promise<void> {
    const choice = await askWhich(mine, theirs, this.query.classes);
    if (choice === "mine") {
      this.outbox.keepMine(mine, theirs);
      return;
    }
    this.outbox.keepTheirs(theirs);
    this.list.update(theirs);
    if (this.session !== null && keyOf(this.session.unit) === keyOf(theirs)) await this.open(theirs);
  }

  refused(work: Work, message: string): void {
    const unit = this.list.of(keyOf(work));
    const go = button("Go there", "Open this unit", () => {
      banner("refused", null);
      if (unit !== undefined) void this.open(unit);
    });
    banner("refused", `Not saved: unit ${work.rank}: ${message}`, true, go);
  }

  sending(problem: string | null, unsent: number): void {
    const away = `The server does not answer: ${unsent} changed unit${unsent === 1 ? "" : "s"} wait in this browser.`;
    banner("offline", problem === null ? null : away, true, ...[button("Try now", away, () => this.outbox.flush())]);
    byId("saving").textContent = problem !== null ? "not saved yet" : unsent > 0 ? "saving …" : "all saved";
  }

  private async read(unit: Unit): Promise<LabelledUnit> {
    return this.api.unit(unit.rank, this.reviews ? unit.annotator : undefined);
  }

  private async show(labelled: LabelledUnit, image: ArrayBuffer): Promise<void> {
    const session = new Session(labelled, labelled, this.query.ignore_code, this.reviews);
    // What the server lacks is newer than what it sent.
    const pending = this.outbox.pending(keyOf(labelled));
    if (pending !== null) {
      if (pending.changed) session.codes.set(pending.codes);
      [session.status, session.comment] = [pending.status, pending.comment];
    }
    this.outbox.known(labelled);
    this.list.update(labelled);
    await this.workspace.open(session, image, this.window());
    this.firstSlice ??= performance.now();
    this.clock.show(this.reviews ? null : keyOf(labelled));
    this.panel.show();
  }

  private window(): Window | null {
    if (!this.query.is_ct[this.channel]) return null;
    const preset = CT_PRESETS[0]!;
    return this.windows.get(this.channel) ?? windowOf(preset.level, preset.width);
  }
}

/** What a person can do about a problem at the start. */
export function explained(error: unknown): string {
  if (error instanceof Refused && error.status === 401) {
    return "This link is not valid. Open the one that al-bench annotate has printed.";
  }
  return error instanceof Error ? error.message : String(error);
}

