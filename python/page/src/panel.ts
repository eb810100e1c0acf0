/** The panel at the right: why a unit was asked, classes, tools, the picture's window, the comment. */

import type { App } from "./app.ts";
import { byId, duration, el } from "./dom.ts";
import { statusOf } from "./list.ts";
import type { Tool } from "./stroke.ts";
import { CT_PRESETS, windowOf } from "./windows.ts";

export const TOOLS: readonly { tool: Tool; name: string; key: string; says: string }[] = [
  { tool: "pen", name: "Pen", key: "d", says: "Pen" },
  { tool: "eraser", name: "Eraser", key: "e", says: "Eraser: back to background" },
  { tool: "outline", name: "Filled pen", key: "o", says: "Filled pen: draw an outline, its inside is painted" },
  { tool: "fill", name: "Fill", key: "f", says: "Fill: recolour what hangs together and has one label" },
  { tool: "grow", name: "Grow", key: "g", says: "Grow: paint what is about as bright and hangs together" },
  { tool: "threshold", name: "Threshold", key: "t", says: "Threshold: paint all of the slice that is about as bright" },
  { tool: "window", name: "Window", key: "w", says: "Window: drag for brightness and contrast (or right button)" },
];

const SIDES = ["sagittal", "coronal", "axial"] as const;

export class Panel {
  private readonly classes = new Map<number, HTMLButtonElement>();
  private readonly tools = new Map<Tool, HTMLButtonElement>();

  constructor(private readonly app: App) {
    const { query } = app;
    byId("query").textContent = `${query.me.name}${query.round === null ? "" : `, round ${query.round}`}`;
    byId("query").title = `${query.id}, ${query.strategy}`;
    document.body.classList.toggle("reviews", app.reviews);
    this.makeClasses();
    this.makeTools();
    this.makeSliders();
    this.makePicture();
    const press = (id: string, run: () => void) => byId(id).addEventListener("click", run);
    press("undo", () => app.workspace.undo());
    press("redo", () => app.workspace.redo());
    press("predicted", () => app.predicted());
    press("rest", () => app.rest());
    press("fit", () => app.workspace.home());
    const comment = byId<HTMLTextAreaElement>("comment");
    comment.addEventListener("input", () => app.commented(comment.value));
    comment.addEventListener("keydown", (event) => {
      if (event.key === "Escape") app.workspace.canvas.focus();
    });
  }

  choose(tool: Tool): void {
    this.app.workspace.end();
    this.app.workspace.tools.tool = tool;
    this.show();
  }

  paintWith(code: number): void {
    if (!this.classes.has(code)) return;
    const { tools } = this.app.workspace;
    this.app.workspace.end();
    tools.code = code;
    if (tools.tool === "eraser" || tools.tool === "window") tools.tool = "pen";
    this.show();
  }

  resize(by: number): void {
    this.slide("size", this.app.workspace.tools.size + by);
  }

  /** Bring the page up to date with the session and the tools. */
  show(): void {
    const { session, workspace } = this.app;
    const { tools } = workspace;
    for (const [code, row] of this.classes) row.setAttribute("aria-checked", String(code === tools.code));
    for (const [tool, row] of this.tools) row.setAttribute("aria-checked", String(tool === tools.tool));
    if (session === null) return;
    const { unit } = session;
    const status = session.status === unit.status ? statusOf(unit).word : session.status;
    byId("unit").textContent = `${unit.rank}. ${unit.name}`;
    byId("place").textContent = `${unit.title}, ${status}${unit.seconds >= 1 ? `, ${duration(unit.seconds)}` : ""}`;
    this.note();
    this.reasons();
    const gaps = session.unlabelled;
    byId<HTMLButtonElement>("rest").disabled = gaps === 0;
    byId<HTMLButtonElement>("undo").disabled = !session.canUndo;
    byId<HTMLButtonElement>("redo").disabled = !session.canRedo;
    const remark = byId("remark");
    remark.hidden = unit.remark === "" && unit.verdict !== "returned";
    remark.textContent = `Reviewer: ${unit.remark || "sent back"}`;
    const comment = byId<HTMLTextAreaElement>("comment");
    comment.readOnly = session.readOnly;
    if (document.activeElement !== comment) comment.value = session.comment;
    const window = workspace.window;
    const rounded = (value: number) => Number(value.toPrecision(4)).toString();
    byId("window").textContent = workspace.isColour ? "" : `From ${rounded(window.min)} to ${rounded(window.max)}`;
    workspace.draw();
  }

  /** What is shown, where it is not what was asked. */
  private note(): void {
    const session = this.app.session!;
    const { box } = session.unit;
    const note = byId("note");
    document.body.classList.toggle("neighbour", !session.asked);
    const thick = box.stop[session.axis] - box.start[session.axis];
    const place = `${SIDES[session.axis]} slice ${session.slice + 1} of ${session.unit.shape[session.axis]}`;
    note.hidden = session.asked && thick === 1;
    note.textContent = session.asked
      ? `${place}, ${session.slice - box.start[session.axis] + 1} of ${thick} of this patch`
      : `${place}: a neighbour, to look at only (C goes back)`;
  }

  private reasons(): void {
    const { unit } = this.app.session!;
    const why = [unit.role === "audit" ? "audit: drawn at random, without prediction" : this.app.query.strategy];
    if (unit.score !== null) why.push(`score ${Number(unit.score.toPrecision(3))}`);
    if (unit.gain !== null) why.push(`gain ${Number(unit.gain.toPrecision(3))}`);
    byId("why").textContent = why.join(", ");
    const values = Object.entries(unit.uncertainty ?? {});
    const highest = Math.max(1e-12, ...values.map(([, value]) => value));
    byId("uncertainty").replaceChildren(
      ...values.map(([name, value]) => {
        const meter = el("meter", { max: highest, value, aria: { label: `Uncertainty of ${name}` } });
        const number = value !== 0 && value < 0.001 ? value.toExponential(1) : Number(value.toPrecision(2)).toString();
        return el("tr", {}, el("td", {}, name), el("td", {}, meter), el("td", {}, number));
      }),
    );
  }

  private makeClasses(): void {
    const { query } = this.app;
    const all = [
      ...query.classes,
      { code: query.ignore_code, value: -1, name: "not annotated", color: "" },
    ];
    for (const each of all) {
      const swatch = el("span", { class: each.color ? "swatch" : "swatch hatched", aria: { hidden: "true" } });
      if (each.color && each.code > 0) swatch.style.backgroundColor = each.color;
      const key = each.code === query.ignore_code ? "U" : each.code < 10 ? String(each.code) : "";
      const row = radio(swatch, el("span", {}, each.name), ...(key ? [el("kbd", {}, key)] : []));
      row.addEventListener("click", () => this.paintWith(each.code));
      this.classes.set(each.code, row);
      byId("classes").append(row);
    }
  }

  private makeTools(): void {
    for (const { tool, name, key, says } of TOOLS) {
      const row = radio(name);
      row.title = `${says} (${key.toUpperCase()})`;
      row.addEventListener("click", () => this.choose(tool));
      this.tools.set(tool, row);
      byId("tools").append(row);
    }
  }

  private makeSliders(): void {
    const { tools } = this.app.workspace;
    this.slider("size", tools.size, (value) => (tools.size = value), "");
    this.slider("tolerance", tools.tolerance, (value) => (tools.tolerance = value), " % of the window");
    this.slider("opacity", 100 * this.app.workspace.opacity, (value) => {
      this.app.workspace.opacity = value / 100;
    }, " %");
    const spare = byId<HTMLInputElement>("spare");
    spare.addEventListener("change", () => (tools.spare = spare.checked));
    const smooth = byId<HTMLInputElement>("smooth");
    smooth.addEventListener("change", () => this.app.workspace.smooth(smooth.checked));
  }

  private makePicture(): void {
    const { query } = this.app;
    const channel = byId<HTMLSelectElement>("channel");
    channel.append(...query.channels.map((name, i) => el("option", { value: String(i) }, name)));
    byId("channel-field").hidden = query.channels.length < 2;
    channel.addEventListener("change", () => {
      byId("preset-field").hidden = !query.is_ct[channel.selectedIndex];
      void this.app.showChannel(channel.selectedIndex);
      channel.blur();
    });
    const preset = byId<HTMLSelectElement>("preset");
    byId("preset-field").hidden = !query.is_ct[0];
    preset.append(...CT_PRESETS.map(({ name, level, width }) => el("option", {}, `${name} (${level}, ${width})`)));
    preset.addEventListener("change", () => {
      const { level, width } = CT_PRESETS[preset.selectedIndex]!;
      this.app.setWindow(windowOf(level, width));
      preset.blur();
    });
  }

  private slider(id: string, value: number, set: (value: number) => void, unit: string): void {
    const input = byId<HTMLInputElement>(id);
    const use = () => {
      set(input.valueAsNumber);
      byId(`${id}-shown`).textContent = `${input.value}${unit}`;
      this.app.workspace.draw();
    };
    input.value = String(value);
    input.addEventListener("input", use);
    use();
  }

  private slide(id: string, value: number): void {
    const input = byId<HTMLInputElement>(id);
    input.value = String(value);
    input.dispatchEvent(new Event("input"));
  }
}

function radio(...children: (Node | string)[]): HTMLButtonElement {
  const row = el("button", { type: "button" }, ...children);
  row.setAttribute("role", "radio");
  row.setAttribute("aria-checked", "false");
  return row;
}
