/** Keyboard: one table that the page obeys and the help sheet shows. */

import { el } from "./dom.ts";

export interface Shortcut {
  /** As in KeyboardEvent.key, letters small; "Ctrl+" stands for the command key as well. */
  keys: readonly string[];
  group: string;
  says: string;
  run(event: KeyboardEvent): void;
  /** Called when the key is released. */
  stop?(): void;
  /** Not listed in the help sheet. */
  quiet?: boolean;
}

export class Keys {
  private readonly byKey = new Map<string, Shortcut>();
  private readonly held = new Map<string, Shortcut>();

  constructor(private readonly shortcuts: readonly Shortcut[]) {
    for (const shortcut of shortcuts) {
      for (const key of shortcut.keys) {
        if (this.byKey.has(key)) throw new Error(`key ${key} stands for two things`);
        this.byKey.set(key, shortcut);
      }
    }
  }

  listen(target: Document): void {
    target.addEventListener("keydown", (event) => this.down(event));
    target.addEventListener("keyup", (event) => this.up(event));
    window.addEventListener("blur", () => {
      for (const shortcut of this.held.values()) shortcut.stop?.();
      this.held.clear();
    });
  }

  /** The help sheet's content. */
  sheet(): HTMLElement {
    const sheet = el("div", { class: "keys" });
    for (const group of new Set(this.shortcuts.map((shortcut) => shortcut.group))) {
      const rows = this.shortcuts
        .filter((shortcut) => shortcut.group === group && !shortcut.quiet)
        .map((shortcut) => el("tr", {}, keyCell(shortcut.keys), el("td", {}, shortcut.says)));
      sheet.append(el("section", {}, el("h3", {}, group), el("table", {}, el("tbody", {}, ...rows))));
    }
    return sheet;
  }

  private down(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.altKey || writes(event)) return;
    if (document.querySelector("dialog[open]") !== null) return;
    const name = nameOf(event);
    // A button that has the focus is pressed by Enter and space.
    if (event.target instanceof HTMLButtonElement && (name === "Enter" || name === " ")) return;
    const shortcut = this.byKey.get(name);
    if (shortcut === undefined) return;
    event.preventDefault();
    if (shortcut.stop !== undefined) {
      if (this.held.has(event.code)) return;
      this.held.set(event.code, shortcut);
    }
    shortcut.run(event);
  }

  private up(event: KeyboardEvent): void {
    this.held.get(event.code)?.stop?.();
    this.held.delete(event.code);
  }
}

function nameOf(event: KeyboardEvent): string {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const control = event.ctrlKey || event.metaKey ? "Ctrl+" : "";
  // Shift is part of a sign such as "?", and said for letters and named keys.
  const shift = event.shiftKey && (key.length > 1 || /[a-z]/.test(key)) ? "Shift+" : "";
  return control + shift + key;
}

/** Whether the key belongs to a field: text, a list, or the arrows of a slider. */
function writes({ target, key }: KeyboardEvent): boolean {
  if (target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return true;
  if (!(target instanceof HTMLInputElement)) return false;
  if (target.type === "checkbox") return key === " ";
  return target.type !== "range" || key.startsWith("Arrow");
}

const SHOWN: Record<string, string> = {
  " ": "Space",
  ArrowLeft: "←",
  ArrowRight: "→",
  ArrowUp: "↑",
  ArrowDown: "↓",
  PageUp: "Page ↑",
  PageDown: "Page ↓",
};

function keyCell(keys: readonly string[]): HTMLElement {
  const cell = el("td");
  keys.forEach((key, i) => {
    const parts = key === "+" ? ["+"] : key.split("+");
    const text = parts.map((part) => SHOWN[part] ?? (/^[a-z]$/.test(part) ? part.toUpperCase() : part)).join("+");
    cell.append(i > 0 ? " " : "", el("kbd", {}, text));
  });
  return cell;
}
