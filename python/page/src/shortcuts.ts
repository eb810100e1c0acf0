/** What every key does. */

import type { App } from "./app.ts";
import { byId } from "./dom.ts";
import type { Shortcut } from "./keys.ts";
import { TOOLS } from "./panel.ts";
import type { Review } from "./review.ts";

export interface Actions {
  help(): void;
  planes(): void;
  versions(): void;
}

export function shortcuts(app: App, review: Review, actions: Actions): Shortcut[] {
  const workspace = () => app.workspace;
  const look: Shortcut[] = [
    { keys: ["j", "Ctrl+ArrowDown"], group: "Units", says: "Next unit", run: () => app.go(1) },
    { keys: ["k", "Ctrl+ArrowUp"], group: "Units", says: "Unit before", run: () => app.go(-1) },
    { keys: ["PageUp", "."], group: "Picture", says: "Neighbour above", run: () => workspace().step(1) },
    { keys: ["PageDown", ","], group: "Picture", says: "Neighbour below", run: () => workspace().step(-1) },
    { keys: ["c", "Home"], group: "Picture", says: "Back to the asked slice", run: () => workspace().home() },
    { keys: ["v"], group: "Picture", says: "Other planes", run: actions.planes },
    { keys: ["+", "="], group: "Picture", says: "Larger (or Ctrl and the wheel)", run: () => workspace().zoom(1.25) },
    { keys: ["-"], group: "Picture", says: "Smaller", run: () => workspace().zoom(0.8) },
    {
      keys: ["h"],
      group: "Picture",
      says: "Hide the labels while it is held",
      run: () => hide(app, true),
      stop: () => hide(app, false),
    },
    { keys: ["?"], group: "Picture", says: "This sheet", run: actions.help },
  ];
  return [...look, ...(app.reviews ? reviewing(review) : painting(app, actions))];
}

function hide(app: App, hidden: boolean): void {
  app.workspace.hidden = hidden;
  app.workspace.draw();
}

function reviewing(review: Review): Shortcut[] {
  const group = "Review";
  return [
    { keys: ["a"], group, says: "Accept", run: () => void review.accept() },
    { keys: ["r"], group, says: "Send back with a remark", run: () => void review.sendBack() },
    { keys: ["x"], group, says: "Labels of another annotator of this unit", run: () => void review.compare() },
  ];
}

function painting(app: App, actions: Actions): Shortcut[] {
  const { panel } = app;
  const workspace = () => app.workspace;
  const digits: Shortcut[] = Array.from({ length: 10 }, (_, code) => ({
    keys: [String(code)],
    group: "Classes",
    says: app.query.classes.find((each) => each.code === code)?.name ?? "",
    quiet: !app.query.classes.some((each) => each.code === code),
    run: () => panel.paintWith(code),
  }));
  const group = "Keyboard pen";
  const directions = [["ArrowLeft", -1, 0], ["ArrowRight", 1, 0], ["ArrowUp", 0, 1], ["ArrowDown", 0, -1]] as const;
  const arrows: Shortcut[] = directions.flatMap(([key, right, up]) => [
    { keys: [key], group, says: "", quiet: true, run: () => workspace().nudge(right, up) },
    { keys: [`Shift+${key}`], group, says: "", quiet: true, run: () => workspace().nudge(10 * right, 10 * up) },
  ]);
  return [
    { keys: ["Enter"], group: "Units", says: "Done, on to the next open one", run: () => void app.finish("done") },
    { keys: ["l"], group: "Units", says: "Later", run: () => void app.finish("later") },
    { keys: ["x"], group: "Units", says: "Skip: bad image", run: () => void app.finish("skip") },
    { keys: ["m"], group: "Units", says: "Write a comment (Escape: back)", run: () => byId("comment").focus() },
    ...TOOLS.map(({ tool, key, says }) => ({ keys: [key], group: "Tools", says, run: () => panel.choose(tool) })),
    { keys: ["["], group: "Tools", says: "Smaller pen", run: () => panel.resize(-1) },
    { keys: ["]"], group: "Tools", says: "Larger pen", run: () => panel.resize(1) },
    { keys: ["Ctrl+z"], group: "Labels", says: "Undo", run: () => workspace().undo() },
    { keys: ["Ctrl+y", "Ctrl+Shift+z"], group: "Labels", says: "Redo", run: () => workspace().redo() },
    { keys: ["p"], group: "Labels", says: "Same as prediction", run: () => app.predicted() },
    { keys: ["b"], group: "Labels", says: "Rest is background", run: () => app.rest() },
    { keys: ["i"], group: "Labels", says: "Saved versions", run: actions.versions },
    ...digits,
    { keys: ["u"], group: "Classes", says: "not annotated", run: () => panel.paintWith(app.query.ignore_code) },
    ...arrows,
    {
      keys: [" "],
      group: "Keyboard pen",
      says: "Paint at the cursor, which arrows move (with Shift by ten); held with arrows: a line",
      run: () => {
        const at = workspace().at;
        if (at !== null) workspace().begin(at);
      },
      stop: () => workspace().end(),
    },
  ];
}
