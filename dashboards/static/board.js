// A dashboard's page: its panels, the stretch of time and the values of variables they show, how fresh they are.
import { isTyping } from "./app.js";
import { wireBadges } from "./badges.js";
import { ask } from "./board_ask.js";
import { BoardBar } from "./board_bar.js";
import { Wall } from "./board_wall.js";
import { onChange } from "./choices.js";
import { nowS } from "./clock.js";
import { byRow, rows } from "./grid.js";
import { Overlay } from "./overlay.js";
import { absolute, bounds, isLive, lengthS, parse } from "./range.js";
import { Tile, linkTiles } from "./tile.js";
import { asValue, wordsOf } from "./variable_menu.js";

const LEAST_REFRESH_S = 10;
const STEPS = 600; // of a live range: a refresh for each would be seen
const VARIABLE = "var.";

/** What the page shows, for its parts: the bar, the tiles, the editor. */
export class Board {
  constructor(told) {
    Object.assign(this, { told, document: told.document, version: told.version, isEdited: false });
    this.element = document.getElementById("board");
    this.tiles = new Map();
    this.timer = 0;
    this.watcher = new IntersectionObserver((entries) => entries.forEach(sight), { rootMargin: "240px 0px" });
  }

  /** What happened meanwhile lies over the graphs, for whoever has an account: a link shows its dashboard alone. */
  overlaid() {
    const charts = () => this.seen.map((tile) => tile.chart).filter((chart) => chart?.answer);
    const subject = (chart) => [...this.tiles.values()].find((tile) => tile.chart === chart).subject;
    const list = document.getElementById("happened");
    const button = document.querySelector("[data-events]");
    const isBusy = () => this.seen.some((tile) => tile.chart?.element.classList.contains("busy"));
    this.overlay = new Overlay({ charts, isBusy, subject, button, list, onSwitch: (isOn) => this.#remember(isOn) });
  }

  /** In the address, where it is not as the dashboard has it. */
  #remember(isOn) {
    this.go({ events: isOn === (this.document.events ?? true) ? null : String(Number(isOn)) });
  }

  get seen() {
    return [...this.tiles.values()].filter((tile) => tile.isSeen && tile.isGraph);
  }

  /** Take another document, or the same one changed: tiles come, go and move. */
  show(changed = this.document) {
    this.document = changed;
    const panels = [...changed.panels].sort(byRow);
    for (const [id, tile] of this.tiles) {
      if (panels.some((panel) => panel.id === id && panel.type === tile.panel.type)) continue;
      tile.remove();
      this.tiles.delete(id);
    }
    for (const panel of panels) {
      const tile = this.tiles.get(panel.id) ?? this.#add(panel);
      tile.show(panel);
    }
    // In reading order, for the keyboard, screen readers and phones; only what is out of order is moved.
    panels.forEach((panel, i) => {
      const { element } = this.tiles.get(panel.id);
      if (this.element.children[i] !== element) this.element.insertBefore(element, this.element.children[i] ?? null);
    });
    document.getElementById("empty").hidden = panels.length > 0;
    this.element.style.setProperty("--rows", rows(panels));
    this.element.dispatchEvent(new Event("arranged"));
  }

  #add(panel) {
    const tile = new Tile(this, panel);
    this.tiles.set(panel.id, tile);
    this.watcher.observe(tile.element);
    return tile;
  }

  /** Read range and values from the address; what it leaves out is as the dashboard says. */
  read() {
    const query = new URLSearchParams(location.search);
    const isGiven = query.has("range") || (query.has("from") && query.has("to"));
    this.range = isGiven ? parse(location.search) : { last: this.document.range, lengthS: lengthS(this.document.range) };
    this.values = {};
    for (const { name, value } of this.document.variables) this.values[name] = query.has(VARIABLE + name) ? asValue(query.getAll(VARIABLE + name).filter(Boolean)) : value;
    Object.assign(this.values, this.told.fixed);
    if (this.overlay) this.overlay.isOn = query.has("events") ? query.get("events") !== "0" : (this.document.events ?? true);
  }

  /** Show the range and the values that the address has now. */
  open() {
    this.read();
    [this.fromS, this.toS] = bounds(this.range);
    this.retell();
    this.load();
    this.schedule();
  }

  /** Say anew what depends on the document, the range or the values: titles, texts, the bar. */
  retell() {
    for (const tile of this.tiles.values()) tile.retitle();
    document.getElementById("title").textContent = this.fill(this.document.title);
    this.element.dispatchEvent(new Event("told"));
  }

  load(isQuiet = false) {
    this.overlay?.show(this.fromS, this.toS);
    for (const tile of this.tiles.values()) tile.isStale = true;
    return Promise.allSettled(this.seen.map((tile) => tile.load(isQuiet)));
  }

  /** Ask for the lines of a panel, the values of a variable, or to be saved. */
  async ask(what, question, signal) {
    try {
      const { told, revision } = await ask(`${this.told.api}${what && "/"}${what}`, question, signal);
      this.hear(revision);
      return told;
    } catch (error) {
      if (error.status === 401) location.reload(); // the session is over: the page leads to signing in
      if (error.status === 404 && this.told.fixed) location.reload(); // the link is revoked, and the page says so
      throw error;
    }
  }

  /** Go to another address of this page, as a step of the browser's history. */
  go(changes) {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(changes)) {
      query.delete(name);
      for (const one of value === null ? [] : [value].flat()) query.append(name, one);
    }
    const search = query.size ? `?${readable(query)}` : location.pathname;
    if (search !== location.search) history.pushState({ steps: this.steps + 1 }, "", search);
    this.open();
  }

  /** How many addresses of this page lie behind. */
  get steps() {
    return history.state?.steps ?? 0;
  }

  goTo(range) {
    if (isLive(range)) this.go({ range: range.last, from: null, to: null });
    else this.go({ range: null, from: range.fromS, to: range.toS });
  }

  choose(name, value) {
    this.go({ [VARIABLE + name]: value });
  }

  between(fromS, toS) {
    this.goTo(absolute(fromS, toS));
  }

  /** The stretch of time moved, or made wider, by shares of itself. */
  shift(by, widen = 0) {
    const length = this.toS - this.fromS;
    const to = Math.min(this.toS + length * (by + widen), nowS() + (isLive(this.range) ? 0 : length * 0.1));
    this.goTo(absolute(widen ? this.fromS - length * widen : to - length, to));
  }

  /** The range and the values as an address's query, for other pages. */
  query() {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(this.values)) for (const one of [value].flat()) query.append(VARIABLE + name, one);
    return readable(query);
  }

  /** The range, for the address of another page. */
  get when() {
    return isLive(this.range) ? `range=${this.range.last}` : `from=${this.range.fromS}&to=${this.range.toS}`;
  }

  schedule() {
    clearTimeout(this.timer);
    if (!isLive(this.range) || document.hidden) return;
    const every = Math.min(Math.max(this.range.lengthS / STEPS, LEAST_REFRESH_S), 600);
    this.timer = setTimeout(() => this.advance(), every * 1000);
  }

  async advance() {
    [this.fromS, this.toS] = bounds(this.range);
    this.element.dispatchEvent(new Event("advanced"));
    await this.load(true);
    this.schedule();
  }

  /** An answer told which revision is the newest. */
  hear(version) {
    if (!(version > this.version) || this.isEdited || this.told.revision !== null) return;
    if (wall.isOn || this.told.fixed) location.reload();
    else document.getElementById("newer").hidden = false;
  }

  /** A text with values in the places of variables. */
  fill(text) {
    return text.replace(/\$([A-Za-z_]\w*)/g, (whole, name) => (name in this.values ? wordsOf(this.values[name]) : whole));
  }
}

/** An address's query as people read it: colons, commas and slashes may stand as they are. */
function readable(query) {
  return query.toString().replace(/%3A/g, ":").replace(/%2C/g, ",").replace(/%2F/g, "/");
}

function sight({ target, isIntersecting }) {
  const tile = [...board.tiles.values()].find((one) => one.element === target);
  if (!tile) return;
  tile.isSeen = isIntersecting;
  if (isIntersecting && tile.isGraph && tile.isStale && board.fromS) tile.load();
}

const board = new Board(JSON.parse(document.getElementById("told").textContent));
const wall = new Wall(board);
const bar = new BoardBar(board);
if (document.querySelector("[data-events]")) board.overlaid();
board.read();
board.show();
linkTiles(board);
board.open();
board.tiles.get(location.hash.replace(/^#panel-/, ""))?.focus();
if (!board.told.fixed) wireBadges(board);

let editor = null;

async function edit() {
  wall.leave();
  const { Editor } = await import("./board_edit.js");
  editor ??= new Editor(board, bar);
  editor.begin();
}

const editButton = document.getElementById("edit");
if (editButton) {
  editButton.hidden = false;
  editButton.addEventListener("click", edit);
  document.querySelector("#empty [data-add]")?.addEventListener("click", async () => {
    if (!board.isEdited) await edit();
    editor.add("graph");
  });
  if (new URLSearchParams(location.search).has("edit")) edit();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || document.querySelector("dialog[open]")) return;
  const act = {
    e: () => editButton && !board.isEdited && edit(),
    w: () => wall.toggle(),
    "[": () => board.shift(-0.5),
    "]": () => board.shift(0.5),
    "-": () => board.shift(0, 0.5),
    o: () => board.overlay?.button.click(),
  }[event.key];
  act?.();
});
document.getElementById("share")?.addEventListener("click", (event) => {
  if (board.document.variables.length) event.currentTarget.search = board.query();
});
onChange("zone", () => {
  bar.tell();
  board.tiles.forEach((tile) => tile.chart?.redraw());
});
onChange("theme", () => board.tiles.forEach((tile) => tile.chart?.recolour()));
addEventListener("popstate", () => board.open());
document.addEventListener("visibilitychange", () => !document.hidden && isLive(board.range) && board.advance());
