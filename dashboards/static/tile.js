// One panel of a dashboard on the page: its place, its title, its text or its graph.
import { Chart } from "./chart.js";
import { currentZone } from "./choices.js";
import { linkCursors } from "./cursor.js";
import { toUrl } from "./graph.js";
import { bound } from "./matchers.js";
import { subjectOf } from "./overlay.js";
import { same } from "./same.js";
import { write } from "./text.js";

const PLACE = ["x", "y", "w", "h"];

export class Tile {
  constructor(board, panel) {
    Object.assign(this, { board, panel, isGraph: panel.type === "graph", isSeen: false, isStale: true });
    this.element = shell(this.isGraph);
    this.header = this.element.querySelector("header");
    this.body = this.element.querySelector(".body");
  }

  /** Take the panel as it is now; a graph that asks for something else is fetched again. */
  show(panel) {
    const isOther = !same(this.panel.graph ?? null, panel.graph ?? null);
    this.panel = panel;
    this.element.dataset.id = panel.id;
    this.element.id = `panel-${panel.id}`;
    for (const name of PLACE) this.element.style.setProperty(`--${name}`, panel[name]);
    this.element.classList.toggle("low", !this.isGraph && panel.h === 1 && !panel.title);
    this.retitle();
    if (isOther) this.isStale = true;
    if (isOther && this.isSeen) this.load();
  }

  /** Write the title, or the text, with the values that are chosen now. */
  retitle() {
    const { title, text } = this.panel;
    this.header.querySelector("h3").textContent = this.board.fill(title);
    this.header.classList.toggle("untitled", !title);
    this.element.setAttribute("aria-label", this.name);
    if (!this.isGraph) write(this.body, this.board.fill(text));
    else if (!this.board.told.fixed) this.#linkExplorer();
  }

  /** Whoever has an account can go on from here: the same graph, with what is chosen now. */
  #linkExplorer() {
    let link = this.header.querySelector(".explore");
    link ??= this.header.appendChild(Object.assign(document.createElement("a"), { className: "explore", textContent: "Explore", title: "Open this graph in the explorer" }));
    const { graph } = this.panel;
    const queries = graph.queries.map((query) => ({ ...query, match: bound(query.match, this.board.values) }));
    link.href = `/explore?${toUrl({ ...graph, queries })}&${this.board.when}`;
    link.setAttribute("aria-label", `Explore ${this.name}`);
  }

  /** What its graph is about, for what happened meanwhile. */
  get subject() {
    const queries = this.panel.graph.queries.map((query) => ({ ...query, match: bound(query.match ?? [], this.board.values) }));
    return subjectOf(this.chart.lines, queries);
  }

  get name() {
    return this.board.fill(this.panel.title) || (this.isGraph ? "Graph" : "Text");
  }

  /** Show the graph in the page's window; `isQuiet` when only time has passed. */
  load(isQuiet = false) {
    this.isStale = false;
    const { fromS, toS } = this.board;
    if (this.chart && isQuiet && this.chart.answer) return this.chart.refresh(fromS, toS);
    const { board } = this;
    this.chart ??= new Chart(this.body, { graph: this.panel.graph, fromS, toS, ask: (question, signal) => this.#ask(question, signal), onAnswer: (chart) => board.overlay?.answered(chart) });
    return this.chart.show({ graph: this.panel.graph, fromS, toS });
  }

  /** While it is edited the graph itself goes along; else what was saved under its id is read. */
  #ask({ from, to, points }, signal) {
    const { values, isEdited, told } = this.board;
    const which = isEdited ? { graph: this.panel.graph } : { panel: this.panel.id, revision: told.revision };
    return this.board.ask("query", { ...which, values, from, to, points }, signal);
  }

  /** Bring it to eyes, and to whoever goes on by keyboard. */
  focus() {
    this.element.tabIndex = -1;
    this.element.scrollIntoView({ block: "center" });
    this.element.focus({ preventScroll: true });
    this.element.classList.add("pointed-at");
  }

  remove() {
    this.chart?.destroy();
    this.element.remove();
  }
}

/** A pointer on one graph is on all; a drag selects the same stretch on all. */
export function linkTiles(board) {
  linkCursors(board.element, {
    seen: () => board.seen.map((tile) => tile.chart).filter((chart) => chart?.loaded),
    zone: currentZone,
    told: (chart, atS) => board.overlay?.toldAt(chart, atS) ?? [],
    onSelect: (fromS, toS) => board.between(fromS, toS),
    onBack: () => board.steps && history.back(),
  });
}

function shell(isGraph) {
  const element = document.createElement("article");
  element.className = `tile ${isGraph ? "panel graph" : "words"}`;
  const header = element.appendChild(document.createElement("header"));
  header.append(document.createElement("h3"));
  element.appendChild(document.createElement("div")).className = isGraph ? "body" : "body prose";
  return element;
}
