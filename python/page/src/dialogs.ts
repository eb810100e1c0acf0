/** Questions to the annotator. A dialog is closed by one of its buttons or Escape, and gives the focus back. */

import { button, el } from "./dom.ts";

/**
 * Ask, and return the index of the answer, or null after Escape.
 *
 * @param answers The first is the one that has the focus.
 */
export function ask(title: string, content: (Node | string)[], answers: readonly string[]): Promise<number | null> {
  return new Promise((resolve) => {
    let chosen: number | null = null;
    const heading = el("h2", { id: "question" }, title);
    const dialog = el("dialog", { aria: { labelledby: "question" } }, heading);
    for (const part of content) dialog.append(typeof part === "string" ? el("p", {}, part) : part);
    const buttons = answers.map((answer, i) =>
      button(answer, answer, () => {
        chosen = i;
        dialog.close();
      }),
    );
    dialog.append(el("div", { class: "answers" }, ...buttons));
    const before = document.activeElement;
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (before instanceof HTMLElement) before.focus();
      resolve(chosen);
    });
    document.body.append(dialog);
    dialog.showModal();
    buttons[0]?.focus();
  });
}

/** Ask for a text; null after Escape. */
export async function askText(title: string, label: string, value: string, answer: string): Promise<string | null> {
  const field = el("textarea", { value, maxLength: 1000, rows: 4 });
  const content = el("label", {}, label, field);
  const asked = ask(title, [content], [answer, "Cancel"]);
  field.focus();
  return (await asked) === 0 ? field.value.trim() : null;
}
