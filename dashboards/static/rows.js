// The rows of the list of nodes: those the page was made with, and what the server tells of them since.
import { currentZone } from "./choices.js";
import { tellAge } from "./clock.js";
import { number } from "./format.js";
import { drawSparkline, sparkline } from "./sparkline.js";
import { instant } from "./ticks.js";

const HELD_MS = 5000; // rows do not move under a pointer or a key that was used so long ago

export class Rows {
  #body;
  #rows = new Map();
  #known = new Map();
  #order = [];
  #touchedAt = -HELD_MS;
  #later = 0;

  constructor(body) {
    this.#body = body;
    for (const row of body.rows) {
      this.#rows.set(row.dataset.name, row);
      this.#order.push(row.dataset.name);
      for (const cell of row.querySelectorAll("[data-figure]")) cell.prepend(sparkline());
      for (const cell of row.querySelectorAll("[data-line]")) drawSparkline(cell.firstChild, cell.dataset.line);
      localise(row);
    }
    for (const event of ["pointermove", "focusin"]) body.addEventListener(event, () => this.touch());
    body.addEventListener("pointerleave", () => (this.#touchedAt = -HELD_MS));
  }

  get names() {
    return this.#order;
  }

  linkOf(name) {
    return this.#rows.get(name)?.querySelector("a");
  }

  /** The reader is at the rows: they keep their places for a moment. */
  touch() {
    this.#touchedAt = performance.now();
  }

  /** Learn what changed; returns [name, state] of the shown nodes whose state did. */
  learn(message) {
    if (message.whole) this.#known.clear();
    const moved = [];
    for (const change of message.nodes ?? []) {
      const before = this.#known.get(change.name);
      if (before && change.state) moved.push([change.name, change.state]);
      this.#known.set(change.name, { ...before, ...change, figures: merged(before?.figures, change.figures) });
      this.#fill(this.#rowOf(change.name), change, this.#known.get(change.name));
    }
    if (message.order) this.#arrange(message.order, message.whole);
    return moved;
  }

  /** Show which row the keyboard is on. */
  mark(name) {
    for (const [other, row] of this.#rows) row.toggleAttribute("data-active", other === name);
  }

  #rowOf(name) {
    if (!this.#rows.has(name)) {
      const row = copy("row");
      row.dataset.name = name;
      const link = row.querySelector("a");
      link.textContent = link.title = name;
      link.href = `/nodes/${name.split("/").map(encodeURIComponent).join("/")}`;
      for (const cell of row.querySelectorAll("[data-figure]")) cell.prepend(sparkline());
      this.#rows.set(name, row);
    }
    return this.#rows.get(name);
  }

  #fill(row, change, node) {
    if (change.state !== undefined) {
      const state = row.querySelector(".state");
      state.dataset.state = node.state;
      state.textContent = node.state;
    }
    if (change.contact_s !== undefined) tellAge(row.querySelector("[data-ago]"), node.contact_s);
    if (change.labels) row.querySelector(".chips").replaceChildren(...Object.entries(node.labels).sort(byKey).map(chip));
    if (change.marks) row.querySelector(".marks").replaceChildren(...node.marks.map(mark));
    if (change.figures) for (const cell of row.querySelectorAll("[data-figure]")) fillFigure(cell, node.figures[cell.dataset.figure]);
  }

  #arrange(order, atOnce) {
    clearTimeout(this.#later);
    const restMs = this.#touchedAt + HELD_MS - performance.now();
    if (restMs > 0 && !atOnce) {
      this.#later = setTimeout(() => this.#arrange(order, true), restMs);
      return;
    }
    this.#order = order;
    const wanted = order.map((name) => this.#rowOf(name));
    const focused = document.activeElement;
    let at = this.#body.firstElementChild;
    for (const row of wanted) {
      if (row === at) at = at.nextElementSibling;
      else this.#body.insertBefore(row, at);
    }
    while (this.#body.rows.length > wanted.length) this.#body.lastElementChild.remove();
    this.#forgetOthers(new Set(order));
    if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  }

  #forgetOthers(names) {
    for (const [name, row] of [...this.#rows]) {
      if (names.has(name)) continue;
      row.remove();
      this.#rows.delete(name);
      this.#known.delete(name);
    }
  }
}

const byKey = ([a], [b]) => (a < b ? -1 : 1);

function merged(before, changes) {
  if (!changes) return before ?? {};
  return Object.fromEntries(Object.entries({ ...before, ...changes }).filter(([, figure]) => figure));
}

function fillFigure(cell, figure) {
  cell.lastElementChild.textContent = number(figure?.[0], cell.dataset.unit);
  drawSparkline(cell.firstChild, figure?.[1] ?? "");
}

function chip([key, value]) {
  const element = copy("chip");
  element.firstChild.data = `${key} `;
  element.querySelector("b").textContent = value;
  return element;
}

function mark([kind, words, title, until]) {
  const element = copy("mark");
  Object.assign(element.dataset, { kind });
  Object.assign(element, { title, textContent: words });
  if (until) {
    const time = document.createElement("time");
    time.dataset.at = until;
    element.append(" ", time);
    localise(element);
  }
  return element;
}

/** Instants in the reader's own zone; the day is today's. */
function localise(element) {
  for (const time of element.querySelectorAll("time[data-at]")) {
    time.textContent = instant(Number(time.dataset.at), currentZone(), false).split(" ").pop();
  }
}

function copy(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}
