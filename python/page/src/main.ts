/** The start of the page: read the query, make the parts, open the first unit that is not finished. */

import { Api, tokenOf } from "./api.ts";
import { App, explained } from "./app.ts";
import { banner } from "./banners.ts";
import { Clock } from "./clock.ts";
import { ask } from "./dialogs.ts";
import { button, byId } from "./dom.ts";
import { BrowserDrafts } from "./drafts.ts";
import { offerHandle } from "./handle.ts";
import { Images } from "./images.ts";
import { Keys } from "./keys.ts";
import { offerLeftover } from "./leftover.ts";
import { isOpen, UnitList } from "./list.ts";
import { Outbox } from "./outbox.ts";
import { Panel } from "./panel.ts";
import { Planes } from "./planes.ts";
import { Review, waits } from "./review.ts";
import { shortcuts } from "./shortcuts.ts";
import { Tabs } from "./tabs.ts";
import type { Query, Unit } from "./types.ts";
import { goBack } from "./versions.ts";
import { Viewer } from "./viewer.ts";
import { Workspace } from "./workspace.ts";

async function start(): Promise<void> {
  const token = tokenOf(location.hash);
  if (token === null) throw new Error("This address lacks its token. Open the one that al-bench annotate has printed.");
  const api = new Api(token);
  const image = byId<HTMLCanvasElement>("image");
  const asked = api.query();
  // The first picture comes while the viewer is made.
  const images = new Images(api);
  asked.then((query) => images.slab(firstOf(query)?.rank ?? 0, 0)).catch(() => undefined);
  const [query, viewer] = await Promise.all([asked, Viewer.on(image)]);
  const { name } = query.me;
  const clock = new Clock(query.idle_seconds);
  const app = new App(api, query, clock, images);
  const store = new BrowserDrafts(query.id, name);
  app.outbox = new Outbox((rank, save, leaving) => api.save(rank, save, leaving), store, clock, {
    state: (problem, unsent) => app.sending(problem, unsent),
    saved: (unit) => app.saved(unit),
    conflict: (mine, theirs) => void app.collided(mine, theirs),
    refused: (work, message) => app.refused(work, message),
  });
  app.list = new UnitList(query.units, app.reviews, (unit) => void app.open(unit));
  app.workspace = new Workspace(viewer, byId("labels"), image, query.classes, query.ignore_code, {
    painted: () => app.painted(),
    shown: () => {
      app.windowed();
      app.panel.show();
    },
  });
  app.panel = new Panel(app);
  wire(app);
  watch(app, clock);
  if (!app.reviews) {
    app.tabs = new Tabs(
      `albench-annotate/${query.id}/${name}`,
      (alone) => banner("tabs", alone ? null : "Your units are open in another tab as well. Use one of them."),
      (key, version) => void app.savedElsewhere(key, version),
    );
  }
  offerHandle(app);
  const first = firstOf(query);
  if (first === undefined) throw new Error("No units are asked of you in this query.");
  await app.open(first);
  if (!app.reviews) await offerLeftover(api, store, app.outbox);
}

/** The unit that is opened first, if there is any. */
function firstOf(query: Query): Unit | undefined {
  return query.units.find(query.me.role === "reviewer" ? waits : isOpen) ?? query.units[0];
}

/** Buttons and keys. */
function wire(app: App): void {
  const review = new Review(app);
  const planes = new Planes();
  const showPlanes = () => {
    const { session } = app;
    if (session === null) return;
    if (planes.open) planes.close();
    else {
      const { unit } = session;
      planes
        .show(unit, app.channel, app.workspace.window, () => app.api.image(unit.case, app.channel))
        .catch((error: unknown) => {
          planes.close();
          banner("open", explained(error), true);
        });
    }
  };
  const table = shortcuts(app, review, {
    help: () => void ask("Keys", [keys.sheet()], ["Close"]),
    planes: showPlanes,
    versions: () => void goBack(app),
  });
  const keys = new Keys(table);
  keys.listen(document);
  byId("help").addEventListener("click", () => void ask("Keys", [keys.sheet()], ["Close"]));
  byId("other-planes").addEventListener("click", showPlanes);
  byId("planes-close").addEventListener("click", showPlanes);
  byId("versions").addEventListener("click", () => void goBack(app));
  const actions = app.reviews
    ? [
        button("Other annotator (X)", "Labels of another annotator of this unit", () => void review.compare()),
        button("Send back (R)", "Send back with a remark", () => void review.sendBack()),
        button("Accept (A)", "Accept, and on to the next", () => void review.accept(), "main"),
      ]
    : [
        button("Skip: bad image (X)", "Nobody can annotate this; it is not asked again", () => void app.finish("skip")),
        button("Later (L)", "Leave it for later", () => void app.finish("later")),
        button("Done (Enter)", "Finished, on to the next open one", () => void app.finish("done"), "main"),
      ];
  byId("actions").append(...actions);
}

/** Who is there, and when the page goes away. */
function watch(app: App, clock: Clock): void {
  for (const kind of ["pointerdown", "pointermove", "keydown", "wheel"]) {
    document.addEventListener(kind, () => clock.touch(), { passive: true, capture: true });
  }
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) app.leave();
    const { session } = app;
    clock.show(document.hidden || session === null || session.readOnly ? null : `${session.unit.annotator}/${session.unit.rank}`);
    app.outbox.flush();
  });
  addEventListener("pagehide", () => {
    const { session } = app;
    app.workspace.end();
    const looked = session !== null && !session.readOnly && session.unit.verdict === null;
    app.outbox.leave(looked ? session.work(false) : null);
  });
  addEventListener("online", () => app.outbox.flush());
}

start().catch((error: unknown) => {
  console.error(error);
  byId("unit").textContent = "";
  banner("start", explained(error), true);
});
