/**
 * Changes on their way to the server. One request a unit is in flight; what is changed meanwhile goes with the next one,
 * and only the newest state is sent. What has not been acknowledged stays in the browser's store.
 */

import { Offline, Refused } from "./api.ts";
import { decode, encode, equal } from "./codes.ts";
import { keyOf, type LabelledUnit, type Save, type Status, type Unit } from "./types.ts";

/** State of a unit that the server is to have. */
export interface Work {
  rank: number;
  annotator: string;
  /** All labels of the box; `changed` says whether they differ from the base's. */
  codes: Uint8Array;
  changed: boolean;
  status: Status;
  comment: string;
  allowUnlabelled: boolean;
}

export interface Draft extends Work {
  base: number;
  /** Milliseconds since 1970. */
  time: number;
}

export interface DraftStore {
  put(draft: Draft): Promise<void>;
  remove(key: string): Promise<void>;
  all(): Promise<Draft[]>;
}

export interface Seconds {
  take(key: string): number;
  add(key: string, seconds: number): void;
}

export interface Events {
  /** `problem` is null as soon as the server answers again; `unsent` counts units. */
  state(problem: string | null, unsent: number): void;
  saved(unit: Unit): void;
  conflict(mine: Work, theirs: LabelledUnit): void;
  refused(work: Work, message: string): void;
}

interface Entry {
  base: number;
  waiting: Work | null;
  flying: Work | null;
  /** Waits for the annotator's decision. */
  stuck: boolean;
  /** Was refused; goes again with the next change. */
  halted: boolean;
  tries: number;
  timer: ReturnType<typeof setTimeout> | undefined;
}

const SOON = 400;
const LONGEST_WAIT = 15_000;

export class Outbox {
  private readonly entries = new Map<string, Entry>();
  private problem: string | null = null;

  constructor(
    private readonly save: (rank: number, save: Save, leaving: boolean) => Promise<Unit>,
    private readonly store: DraftStore,
    private readonly seconds: Seconds,
    private readonly events: Events,
  ) {}

  /** The page has read this version. Nothing changes for a unit with changes on their way. */
  known(unit: Unit): void {
    const entry = this.entry(keyOf(unit));
    if (entry.waiting === null && entry.flying === null) entry.base = unit.version;
  }

  /** Whether the server lacks something of a unit, or of any. */
  unsent(key?: string): boolean {
    const entries = key === undefined ? [...this.entries.values()] : [this.entry(key)];
    return entries.some((entry) => entry.waiting !== null || entry.flying !== null);
  }

  /** The state of a unit that the server may lack, or null. */
  pending(key: string): Work | null {
    const entry = this.entry(key);
    return entry.waiting ?? entry.flying;
  }

  /** Send this state, within half a second. */
  change(work: Work): void {
    const entry = this.entry(keyOf(work));
    entry.waiting = merged(entry.flying === null ? entry.waiting : null, work, entry.waiting);
    entry.halted = false;
    this.keep(entry);
    if (entry.stuck) return;
    if (entry.tries === 0) this.schedule(entry, SOON);
    this.report();
  }

  /** Send what waits now, e.g. since the server seems to be back. */
  flush(): void {
    for (const entry of this.entries.values()) if (entry.waiting !== null && !entry.stuck && !entry.halted) this.schedule(entry, 0);
  }

  /** The page goes away: send without waiting for answers. Drafts stay, in case that nothing arrives. */
  leave(shown: Work | null): void {
    for (const entry of this.entries.values()) {
      if (entry.waiting !== null && entry.flying === null && !entry.stuck && !entry.halted) this.fire(entry, entry.waiting);
    }
    if (shown !== null) {
      const entry = this.entry(keyOf(shown));
      if (entry.waiting === null && entry.flying === null) this.fire(entry, { ...shown, changed: false });
    }
  }

  /** Mine replaces what the server has: `theirs` has been seen. */
  keepMine(mine: Work, theirs: Unit): void {
    const entry = this.entry(keyOf(mine));
    entry.base = theirs.version;
    entry.stuck = false;
    entry.waiting = { ...(entry.waiting ?? mine), changed: true };
    this.keep(entry);
    this.schedule(entry, 0);
  }

  /** Forget my changes; what the server has counts. */
  keepTheirs(theirs: Unit): void {
    const entry = this.entry(keyOf(theirs));
    entry.base = theirs.version;
    entry.stuck = false;
    entry.waiting = null;
    void this.store.remove(keyOf(theirs));
    this.report();
  }

  /** Take up a draft that an earlier page could not send. */
  resume(draft: Draft): void {
    const entry = this.entry(keyOf(draft));
    entry.base = draft.base;
    entry.waiting = draft;
    this.schedule(entry, 0);
  }

  private entry(key: string): Entry {
    let entry = this.entries.get(key);
    if (entry === undefined) {
      entry = { base: 0, waiting: null, flying: null, stuck: false, halted: false, tries: 0, timer: undefined };
      this.entries.set(key, entry);
    }
    return entry;
  }

  private keep(entry: Entry): void {
    if (entry.waiting === null) return;
    // A copy: the page goes on painting in its own array.
    const draft = { ...entry.waiting, codes: entry.waiting.codes.slice(), base: entry.base, time: Date.now() };
    entry.waiting = draft;
    void this.store.put(draft).catch(() => undefined);
  }

  private schedule(entry: Entry, milliseconds: number): void {
    if (entry.timer !== undefined && milliseconds > 0) return;
    clearTimeout(entry.timer);
    entry.timer = setTimeout(() => {
      entry.timer = undefined;
      void this.send(entry);
    }, milliseconds);
  }

  private async send(entry: Entry): Promise<void> {
    const work = entry.waiting;
    if (work === null || entry.flying !== null || entry.stuck) return;
    const key = keyOf(work);
    const spent = this.seconds.take(key);
    entry.flying = work;
    entry.waiting = null;
    try {
      this.arrived(entry, work, await this.save(work.rank, request(work, entry.base, spent), false));
    } catch (error) {
      entry.flying = null;
      if (error instanceof Refused && error.status === 409 && isUnit(error.body["current"])) {
        const current = error.body["current"];
        // An answer that got lost: the server has this very state.
        if (holds(current, work)) this.arrived(entry, work, current);
        else this.collided(entry, work, current, spent);
        return;
      }
      this.seconds.add(key, spent);
      entry.waiting = merged(work, entry.waiting ?? work, work);
      if (error instanceof Offline || (error instanceof Refused && error.status >= 500)) this.again(entry, error.message);
      else this.stop(entry, work, error);
    }
  }

  private arrived(entry: Entry, work: Work, unit: Unit): void {
    entry.flying = null;
    entry.base = unit.version;
    entry.tries = 0;
    this.problem = null;
    if (entry.waiting === null) void this.store.remove(keyOf(work));
    else {
      this.keep(entry);
      this.schedule(entry, 0);
    }
    // Others wait for the same server.
    this.flush();
    this.events.saved(unit);
    this.report();
  }

  private collided(entry: Entry, work: Work, theirs: LabelledUnit, spent: number): void {
    this.seconds.add(keyOf(work), spent);
    entry.waiting = merged(work, entry.waiting ?? work, work);
    entry.stuck = true;
    this.problem = null;
    this.report();
    this.events.conflict(entry.waiting, theirs);
  }

  private again(entry: Entry, message: string): void {
    this.problem = message;
    entry.tries += 1;
    this.schedule(entry, Math.min(LONGEST_WAIT, 500 * 2 ** Math.min(entry.tries, 5)));
    this.report();
  }

  private stop(entry: Entry, work: Work, error: unknown): void {
    entry.tries = 0;
    entry.halted = true;
    this.events.refused(work, error instanceof Error ? error.message : String(error));
    this.report();
  }

  private fire(entry: Entry, work: Work): void {
    const spent = this.seconds.take(keyOf(work));
    if (!work.changed && spent < 1 && entry.waiting === null) return;
    this.save(work.rank, request(work, entry.base, spent), true).catch(() => this.seconds.add(keyOf(work), spent));
  }

  private report(): void {
    const unsent = [...this.entries.values()].filter((entry) => entry.waiting !== null || entry.flying !== null).length;
    this.events.state(this.problem, unsent);
  }
}

/** The newer state; labels count as changed if those of an older state that was not sent were. */
function merged(older: Work | null, newer: Work, unsent: Work | null): Work {
  return { ...newer, changed: newer.changed || (older?.changed ?? false) || (unsent?.changed ?? false) };
}

function request(work: Work, base: number, seconds: number): Save {
  return {
    base,
    labels: work.changed ? encode(work.codes) : null,
    status: work.status,
    comment: work.comment,
    seconds_delta: Math.round(seconds * 1000) / 1000,
    ...(work.allowUnlabelled ? { allow_unlabelled: true } : {}),
  };
}

/** Whether a version on the server is this state. */
export function holds(unit: LabelledUnit, work: Work): boolean {
  if (unit.status !== work.status || unit.comment !== work.comment) return false;
  try {
    return equal(decode(unit.labels, work.codes.length), work.codes);
  } catch {
    return false;
  }
}

function isUnit(value: unknown): value is LabelledUnit {
  return typeof value === "object" && value !== null && "version" in value && "labels" in value;
}
