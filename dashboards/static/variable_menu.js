// What a variable is: none of its values, which is all, one, or several, ticked in a menu.
import "./menu.js";

const PAUSE_MS = 600; // after the last tick, so that five of them are one step
const SIEVED_FROM = 10; // values; fewer are seen at a glance
const TOLD_MAX = 3;

/** A value, "" or a list, as the list of what is chosen. */
export const several = (value) => (Array.isArray(value) ? value : value ? [value] : []);

/** A list of what is chosen as a value. */
export const asValue = (chosen) => (chosen.length > 1 ? chosen : (chosen[0] ?? ""));

/** A value as people read it. */
export function wordsOf(value) {
  const chosen = several(value);
  const more = chosen.length - TOLD_MAX;
  return chosen.length ? chosen.slice(0, TOLD_MAX).join(", ") + (more > 0 ? ` and ${more} more` : "") : "all";
}

export class VariableMenu {
  #offered = [];
  #chosen = [];
  #timer = 0;

  /** onChoose (value) some moments after the last change, or when the menu closes */
  constructor(name, { isFixed, onChoose }) {
    Object.assign(this, { name, onChoose });
    this.element = Object.assign(document.createElement("details"), { className: "menu variable" });
    this.element.dataset.name = name;
    this.summary = this.element.appendChild(document.createElement("summary"));
    this.element.inert = isFixed;
    const sheet = this.element.appendChild(Object.assign(document.createElement("div"), { className: "sheet-below" }));
    this.sieve = sheet.appendChild(Object.assign(document.createElement("input"), { type: "search", placeholder: "Filter", hidden: true }));
    this.sieve.setAttribute("aria-label", `Filter the values of ${name}`);
    this.all = sheet.appendChild(Object.assign(document.createElement("button"), { type: "button", className: "item", textContent: "All" }));
    this.list = sheet.appendChild(document.createElement("ul"));
    this.note = sheet.appendChild(Object.assign(document.createElement("p"), { className: "muted", hidden: true }));
    this.sieve.addEventListener("input", () => this.#sift());
    this.all.addEventListener("click", () => this.#take([], true));
    this.list.addEventListener("change", () => this.#take([...this.list.querySelectorAll("input:checked")].map(({ value }) => value)));
    this.list.addEventListener("click", ({ target }) => target.dataset.only !== undefined && this.#take([target.dataset.only], true));
    this.element.addEventListener("toggle", () => this.element.open || this.#tell());
  }

  /** Show what is chosen. */
  choose(value) {
    if (this.#timer) return; // what is being ticked counts
    this.#chosen = several(value);
    this.#show();
  }

  /** What there is to choose; a value that nothing sends now can be chosen still. */
  offer(values, isAll) {
    this.#offered = values;
    this.note.hidden = isAll;
    this.note.textContent = `Only the first ${values.length.toLocaleString("en")} are listed.`;
    this.#show();
  }

  #take(chosen, isDone = false) {
    this.#chosen = chosen;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#tell(), PAUSE_MS);
    this.#summarise();
    if (!isDone) return;
    this.element.open = false;
    this.#tell();
    this.#show();
    this.summary.focus();
  }

  #tell() {
    if (!this.#timer) return;
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.onChoose(asValue(this.#chosen));
  }

  #show() {
    const values = [...new Set([...this.#offered, ...this.#chosen])];
    const focused = this.list.contains(document.activeElement) ? document.activeElement.value : null;
    this.list.replaceChildren(...values.map((value) => this.#row(value)));
    if (focused !== null) [...this.list.querySelectorAll("input")].find((one) => one.value === focused)?.focus();
    this.sieve.hidden = values.length < SIEVED_FROM;
    this.#summarise();
    this.#sift();
  }

  #summarise() {
    const words = Object.assign(document.createElement("b"), { textContent: wordsOf(this.#chosen) });
    this.summary.replaceChildren(`${this.name} `, words);
    this.all.setAttribute("aria-pressed", String(!this.#chosen.length));
  }

  #row(value) {
    const row = document.createElement("li");
    const label = row.appendChild(document.createElement("label"));
    const tick = label.appendChild(Object.assign(document.createElement("input"), { type: "checkbox", value, checked: this.#chosen.includes(value) }));
    tick.name = this.name;
    label.append(Object.assign(document.createElement("span"), { textContent: value }));
    const only = row.appendChild(Object.assign(document.createElement("button"), { type: "button", className: "quiet", textContent: "only" }));
    only.dataset.only = value;
    only.setAttribute("aria-label", `Only ${value}`);
    return row;
  }

  #sift() {
    const text = this.sieve.value.trim().toLowerCase();
    for (const row of this.list.children) row.hidden = !row.querySelector("input").value.toLowerCase().includes(text);
  }
}
