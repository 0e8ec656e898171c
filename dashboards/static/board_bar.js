// The bar above the panels: ranges, the way to and fro, variables, zone.
import { currentZone, setZone } from "./choices.js";
import { isLive, lengthS } from "./range.js";
import { instant, offsetS } from "./ticks.js";
import { VariableMenu } from "./variable_menu.js";

const bar = document.getElementById("toolbar");
const custom = document.getElementById("custom");
const opener = bar.querySelector("[data-custom]");
const variables = document.getElementById("variables");

export class BoardBar {
  constructor(board) {
    this.board = board;
    bar.addEventListener("click", (event) => this.#press(event.target.closest("button")));
    custom.addEventListener("submit", (event) => this.#submit(event));
    custom.addEventListener("input", () => custom.elements.to.setCustomValidity(""));
    custom.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      open(false);
      opener.focus();
    });
    board.element.addEventListener("told", () => {
      this.tell();
      this.showVariables();
    });
    board.element.addEventListener("advanced", () => this.tell());
  }

  #press(button) {
    if (!button) return;
    const { range, shift, widen, zone } = button.dataset;
    if (range) this.board.goTo({ last: range, lengthS: lengthS(range) });
    if (shift) this.board.shift(Number(shift));
    if (widen) this.board.shift(0, Number(widen));
    if (zone) setZone(zone);
    if (button === opener) open(custom.hidden);
    if (range) open(false);
  }

  #submit(event) {
    event.preventDefault();
    const [fromS, toS] = ["from", "to"].map((name) => readInput(custom.elements[name].value));
    custom.elements.to.setCustomValidity(toS > fromS ? "" : "The end must be after the start");
    if (!custom.reportValidity()) return;
    open(false);
    this.board.between(fromS, toS);
  }

  /** What stretch of time is shown. */
  tell() {
    const { range, fromS, toS } = this.board;
    for (const button of bar.querySelectorAll("[data-range]")) button.setAttribute("aria-pressed", String(button.dataset.range === range.last));
    opener.setAttribute("aria-pressed", String(!bar.querySelector("[data-range][aria-pressed=true]")));
    for (const button of bar.querySelectorAll("[data-zone]")) button.setAttribute("aria-pressed", String(button.dataset.zone === currentZone()));
    const words = document.getElementById("window");
    words.textContent = [fromS, toS].map((at) => instant(at, currentZone(), toS - fromS < 900)).join(" – ");
    words.dataset.live = isLive(range) ? "1" : "";
    if (custom.hidden) [custom.elements.from.value, custom.elements.to.value] = [fromS, toS].map(toInput);
  }

  /** A menu for each variable; what it can be is asked for when it is new here. */
  showVariables() {
    const { document: shown, values, told } = this.board;
    const known = shown.variables.map(({ name, label }) => `${name} ${label}`).join("\n");
    if (variables.dataset.known !== known) {
      variables.dataset.known = known;
      this.menus = new Map(shown.variables.map((one) => [one.name, this.#menu(one, Boolean(told.fixed && one.name in told.fixed))]));
      variables.replaceChildren(...[...this.menus.values()].map(({ element }) => element));
    }
    for (const [name, menu] of this.menus ?? []) menu.choose(values[name]);
  }

  #menu(variable, isFixed) {
    const menu = new VariableMenu(variable.name, { isFixed, onChoose: (value) => this.board.choose(variable.name, value) });
    if (!isFixed) this.#offer(variable, menu);
    return menu;
  }

  async #offer(variable, menu) {
    try {
      const { values, is_all: isAll } = await this.board.ask("values", this.board.isEdited ? drafted(this.board.document, variable) : { variable: variable.name });
      menu.offer(values, isAll);
    } catch {
      delete variables.dataset.known; // asked again with the next change; what is chosen is there
    }
  }
}

/** Of a variable that is not saved yet the server knows nothing: which label, among which metrics. */
function drafted({ panels }, { name, label }) {
  const queries = panels.flatMap((panel) => panel.graph?.queries ?? []);
  const asking = queries.filter((query) => (query.match ?? []).some((text) => text.endsWith(`$${name}`)));
  return { label, metrics: [...new Set((asking.length ? asking : queries).map((query) => query.metric))] };
}

function open(isOpen) {
  custom.hidden = !isOpen;
  opener.setAttribute("aria-expanded", String(isOpen));
  if (isOpen) custom.elements.from.focus();
}

function toInput(atS) {
  return new Date((atS + offsetS(atS, currentZone())) * 1000).toISOString().slice(0, 19);
}

function readInput(text) {
  return new Date(currentZone() === "utc" ? `${text}Z` : text).getTime() / 1000;
}
