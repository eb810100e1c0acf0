/** Changes that an earlier page of this browser could not send: offered, never sent or dropped unasked. */

import type { Api } from "./api.ts";
import { ask } from "./dialogs.ts";
import { el } from "./dom.ts";
import { holds, type Draft, type DraftStore, type Outbox } from "./outbox.ts";
import { keyOf } from "./types.ts";

export async function offerLeftover(api: Api, store: DraftStore, outbox: Outbox): Promise<void> {
  const drafts: Draft[] = [];
  for (const draft of await store.all().catch(() => [])) {
    // What was sent while the page went away has arrived.
    const unit = await api.unit(draft.rank).catch(() => null);
    if (unit !== null && (holds(unit, draft) || unit.annotator !== draft.annotator)) await store.remove(keyOf(draft));
    else drafts.push(draft);
  }
  if (drafts.length === 0) return;
  const rows = drafts.map((draft) =>
    el("li", {}, `Unit ${draft.rank}, ${draft.status}, ${new Date(draft.time).toLocaleString("en-GB")}`),
  );
  const content = ["Changes in this browser have not reached the server:", el("ul", {}, ...rows)];
  const answer = await ask("Unsent changes", content, ["Send them", "Throw them away", "Decide later"]);
  for (const draft of drafts) {
    if (answer === 0) outbox.resume(draft);
    if (answer === 1) await store.remove(keyOf(draft));
  }
}
