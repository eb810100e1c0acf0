/** Going back to a version that the server keeps: its labels become a change that can be undone. */

import type { App } from "./app.ts";
import { banner } from "./banners.ts";
import { decode } from "./codes.ts";
import { ask } from "./dialogs.ts";
import { el } from "./dom.ts";

export async function goBack(app: App): Promise<void> {
  const { session } = app;
  if (session === null || session.readOnly) return;
  try {
    const versions = (await app.api.versions(session.unit.rank)).reverse();
    if (versions.length === 0) {
      await ask("Saved versions", ["Nothing of this unit has been saved yet."], ["Good"]);
      return;
    }
    const select = el("select", { size: Math.min(12, Math.max(2, versions.length)) });
    for (const { version, saved, by, status, n_unlabelled } of versions) {
      const when = new Date(saved).toLocaleString("en-GB");
      select.append(el("option", { value: String(version) }, `${version}: ${when}, ${by}, ${status}, ${n_unlabelled} not annotated`));
    }
    select.selectedIndex = 0;
    const chosen = await ask("Saved versions", [el("label", {}, "Take the labels of ", select)], ["Take", "Cancel"]);
    if (chosen !== 0 || session !== app.session) return;
    const { labels } = await app.api.version(session.unit.rank, Number(select.value));
    app.workspace.replace(decode(labels, session.codes.length));
  } catch (error) {
    banner("open", error instanceof Error ? error.message : String(error), true);
  }
}
