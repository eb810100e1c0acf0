import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Offline, Refused } from "../src/api.ts";
import { encode } from "../src/codes.ts";
import { Outbox, type Draft, type DraftStore, type Work } from "../src/outbox.ts";
import { keyOf, type Save, type Unit } from "../src/types.ts";

class Memory implements DraftStore {
  readonly drafts = new Map<string, Draft>();
  async put(draft: Draft) {
    this.drafts.set(keyOf(draft), draft);
  }
  async remove(key: string) {
    this.drafts.delete(key);
  }
  async all() {
    return [...this.drafts.values()];
  }
}

function work(codes: number[], more: Partial<Work> = {}): Work {
  const plain = { rank: 1, annotator: "anna", changed: true, status: "open", comment: "", allowUnlabelled: false } as const;
  return { ...plain, codes: Uint8Array.from(codes), ...more };
}

/** A server of one unit that compares and swaps. */
function bench() {
  const server = { version: 0, labels: encode(Uint8Array.from([0, 0])), status: "open", comment: "", seconds: 0 };
  const sent: Save[] = [];
  let fail: (() => Error | null) | null = null;
  let loseAnswers = false;
  const store = new Memory();
  const spent = new Map<string, number>();
  const log: string[] = [];
  const conflicts: unknown[] = [];
  const unit = () => ({ rank: 1, annotator: "anna", ...server }) as unknown as Unit;
  const save = async (_rank: number, save: Save): Promise<Unit> => {
    sent.push(save);
    const error = fail?.() ?? null;
    if (error) throw error;
    if (save.base !== server.version) throw new Refused(409, "newer", { current: unit() });
    server.version += 1;
    server.labels = save.labels ?? server.labels;
    server.status = save.status;
    server.comment = save.comment;
    server.seconds += save.seconds_delta;
    if (loseAnswers) throw new Offline("gone");
    return unit();
  };
  const outbox = new Outbox(
    save,
    store,
    {
      take: (key) => {
        const seconds = spent.get(key) ?? 0;
        spent.delete(key);
        return seconds;
      },
      add: (key, seconds) => spent.set(key, (spent.get(key) ?? 0) + seconds),
    },
    {
      state: (problem, unsent) => log.push(`${problem ?? "ok"} ${unsent}`),
      saved: (saved) => log.push(`saved ${saved.version}`),
      conflict: (mine, theirs) => conflicts.push({ mine, theirs }),
      refused: (_work, message) => log.push(`refused ${message}`),
    },
  );
  return {
    server, sent, store, spent, log, conflicts, outbox, unit,
    failing: (how: (() => Error | null) | null) => (fail = how),
    losing: (lose: boolean) => (loseAnswers = lose),
  };
}

describe("outbox", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("sends the newest state once, and keeps a draft until it is acknowledged", async () => {
    const { outbox, sent, store, server } = bench();
    outbox.change(work([1, 0]));
    outbox.change(work([1, 1]));
    await vi.advanceTimersByTimeAsync(0);
    expect(store.drafts.size).toBe(1);
    await vi.advanceTimersByTimeAsync(1000);
    expect(sent.length).toBe(1);
    expect(server.labels).toBe(encode(Uint8Array.from([1, 1])));
    expect(store.drafts.size).toBe(0);
    expect(outbox.unsent()).toBe(false);
  });

  it("sends everything within a second although strokes go on", async () => {
    const { outbox, sent } = bench();
    for (let i = 0; i < 20; i++) {
      outbox.change(work([i, 0]));
      await vi.advanceTimersByTimeAsync(100);
    }
    expect(sent.length).toBeGreaterThanOrEqual(3);
  });

  it("is not changed by strokes after the change", async () => {
    const { outbox, server } = bench();
    const mine = work([1, 0]);
    outbox.change(mine);
    mine.codes[0] = 7;
    await vi.advanceTimersByTimeAsync(1000);
    expect(server.labels).toBe(encode(Uint8Array.from([1, 0])));
  });

  it("goes on by itself when the server is back, with the newest state and all seconds", async () => {
    const { outbox, failing, server, log, spent, store } = bench();
    failing(() => new Offline("away"));
    spent.set("anna/1", 5);
    outbox.change(work([1, 0]));
    await vi.advanceTimersByTimeAsync(20_000);
    expect(log.at(-1)).toBe("away 1");
    expect(store.drafts.size).toBe(1);
    outbox.change(work([1, 0], { changed: false, status: "done" }));
    failing(null);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(server).toMatchObject({ version: 1, status: "done", seconds: 5, labels: encode(Uint8Array.from([1, 0])) });
    expect(log.at(-1)).toBe("ok 0");
  });

  it("takes a lost answer for what it is", async () => {
    const { outbox, losing, server, conflicts, spent } = bench();
    spent.set("anna/1", 5);
    losing(true);
    outbox.change(work([1, 0]));
    await vi.advanceTimersByTimeAsync(600);
    losing(false);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(conflicts).toEqual([]);
    expect(server).toMatchObject({ version: 1, seconds: 5 });
    outbox.change(work([1, 1]));
    await vi.advanceTimersByTimeAsync(1000);
    expect(server.version).toBe(2);
  });

  it("never overwrites what somebody else has saved", async () => {
    const { outbox, server, conflicts, unit, sent } = bench();
    server.version = 3;
    server.labels = encode(Uint8Array.from([9, 9]));
    outbox.change(work([1, 0]));
    await vi.advanceTimersByTimeAsync(1000);
    expect(conflicts.length).toBe(1);
    outbox.change(work([1, 1]));
    await vi.advanceTimersByTimeAsync(20_000);
    expect(server.labels).toBe(encode(Uint8Array.from([9, 9])));
    expect(sent.length).toBe(1);
    outbox.keepMine(work([1, 0]), unit());
    await vi.advanceTimersByTimeAsync(1000);
    expect(server).toMatchObject({ version: 4, labels: encode(Uint8Array.from([1, 1])) });
  });

  it("forgets mine where theirs is kept", async () => {
    const { outbox, server, store, unit } = bench();
    server.version = 3;
    server.labels = encode(Uint8Array.from([9, 9]));
    outbox.change(work([1, 0]));
    await vi.advanceTimersByTimeAsync(1000);
    outbox.keepTheirs(unit());
    await vi.advanceTimersByTimeAsync(1000);
    expect(server.version).toBe(3);
    expect(store.drafts.size).toBe(0);
    expect(outbox.unsent()).toBe(false);
  });

  it("says what the server refuses, and tries again with the next change", async () => {
    const { outbox, failing, log, server } = bench();
    failing(() => new Refused(400, "412 voxels are not annotated", {}));
    outbox.change(work([1, 0], { status: "done" }));
    await vi.advanceTimersByTimeAsync(20_000);
    expect(log).toContain("refused 412 voxels are not annotated");
    failing(null);
    outbox.change(work([1, 1], { status: "done" }));
    await vi.advanceTimersByTimeAsync(1000);
    expect(server.version).toBe(1);
  });

  it("takes up a draft", async () => {
    const { outbox, server } = bench();
    outbox.resume({ ...work([2, 2]), base: 0, time: 0 });
    await vi.advanceTimersByTimeAsync(1000);
    expect(server.labels).toBe(encode(Uint8Array.from([2, 2])));
  });

  it("sends labels and time when the page goes away", async () => {
    const { outbox, server, spent } = bench();
    outbox.change(work([1, 0]));
    outbox.leave(null);
    expect(server.version).toBe(1);
    await vi.advanceTimersByTimeAsync(1000);
    expect(server.version).toBe(1);
    spent.set("anna/1", 3);
    outbox.leave(work([1, 0], { changed: false }));
    expect(server.seconds).toBe(3);
  });
});
