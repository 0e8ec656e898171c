// The form of one panel: what it asks for and how it is shown. Each change shows on the dashboard at once.
import { offer } from "./board_offer.js";
import { matchers, spaced } from "./matchers.js";

const IDS = "ABCDEFGHIJ";
const PAUSE_MS = 400; // of typing, before the graph is asked for anew
const dialog = document.getElementById("panel-editor");
const form = dialog.querySelector("form");
const box = (name) => form.querySelector(`[data-${name}]`);

export class PanelEditor {
  /** onChange  (panel) with every change that makes sense */
  constructor(onChange, board) {
    Object.assign(this, { onChange, board });
    form.addEventListener("input", (event) => this.#type(event));
    form.addEventListener("change", () => this.#take());
    form.addEventListener("click", (event) => this.#press(event));
    form.addEventListener("submit", () => this.#take());
    dialog.addEventListener("close", () => this.#take());
    offer(form);
  }

  open(panel) {
    this.panel = panel;
    form.elements.title.value = panel.title;
    for (const part of form.querySelectorAll("[data-for]")) part.hidden = part.dataset.for !== panel.type;
    document.getElementById("panel-editor-title").textContent = panel.type === "graph" ? "Graph" : "Text";
    if (panel.type === "text") form.elements.text.value = panel.text;
    else this.#fill(panel.graph);
    if (!dialog.open) dialog.show();
    (panel.type === "graph" ? form.querySelector("[name=metric]") : form.elements.text)?.focus();
  }

  #fill(graph) {
    box("queries").replaceChildren(...graph.queries.map(queryRow));
    box("formulas").replaceChildren(...graph.formulas.map(formulaRow));
    box("thresholds").replaceChildren(...graph.thresholds.map(thresholdRow));
    if (!graph.queries.length) box("queries").append(queryRow({ id: "A", metric: "", match: this.#usualMatch() }));
    form.elements.kind.value = graph.kind;
    form.elements.unit.value = graph.unit ?? "";
    form.elements.log.checked = graph.log;
    const [shift = ""] = graph.shift;
    if (![...form.elements.shift.options].some((one) => one.value === shift)) form.elements.shift.add(new Option(`${shift} before`, shift));
    form.elements.shift.value = shift;
  }

  /** A dashboard with a variable of the node most likely asks for it. */
  #usualMatch() {
    return this.board.document.variables.filter(({ label }) => label === "node").map(({ name, label }) => `${label}=$${name}`);
  }

  #type() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#take(), PAUSE_MS);
  }

  #press(event) {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.more) this.#more(button.dataset.more);
    if ("remove" in button.dataset) button.closest("[role=group]").remove();
    if ("hide" in button.dataset) button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    if (button.type === "button") this.#take();
  }

  #more(kind) {
    const ids = [...form.querySelectorAll("[data-id]")].map((one) => one.textContent);
    const rows = {
      query: () => queryRow({ id: [...IDS].find((id) => !ids.includes(id)), metric: "", match: this.#usualMatch() }),
      formula: () => formulaRow({ id: [1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => `F${n}`).find((id) => !ids.includes(id)), expr: "" }),
      threshold: () => thresholdRow({ value: "", label: "" }),
    };
    const into = { query: "queries", formula: "formulas", threshold: "thresholds" }[kind];
    const made = rows[kind]();
    if (!made) return;
    box(into).append(made);
    made.querySelector("input").focus();
  }

  #take() {
    clearTimeout(this.timer);
    const title = form.elements.title.value.trim();
    if (this.panel.type === "text") this.panel = { ...this.#now(), title, text: form.elements.text.value };
    else this.panel = { ...this.#now(), title, graph: this.#graph() };
    this.onChange(this.panel);
  }

  /** The panel may have been moved while its form was open. */
  #now() {
    return this.board.document.panels.find((one) => one.id === this.panel.id) ?? this.panel;
  }

  #graph() {
    const { kind, unit, log, shift } = form.elements;
    return {
      queries: rowsOf("queries").map(queryOf).filter((query) => query.metric),
      formulas: rowsOf("formulas").map((row) => ({ id: idOf(row), expr: row.querySelector("[name=expr]").value.trim(), hidden: false })).filter((one) => one.expr),
      shift: shift.value ? [shift.value] : [],
      kind: kind.value,
      log: log.checked,
      unit: unit.value || null,
      thresholds: rowsOf("thresholds").map(thresholdOf).filter(Boolean),
    };
  }
}

const rowsOf = (name) => [...box(name).children];
const idOf = (row) => row.querySelector("[data-id]").textContent;
const copyOf = (name) => document.getElementById(`${name}-row`).content.firstElementChild.cloneNode(true);

function queryRow({ id, metric, match = [], over = "avg", by = null, across = "avg", top = null, hidden = false }) {
  const row = copyOf("query");
  const field = (name) => row.querySelector(`[name=${name}]`);
  row.querySelector("[data-id]").textContent = id;
  row.setAttribute("aria-label", `Query ${id}`);
  Object.entries({ metric, match: match.map(spaced).join("  "), over, across, top: top ?? "", by: (by ?? []).join(", ") }).forEach(([name, value]) => (field(name).value = value));
  field("grouping").value = by === null ? "each" : by.length ? "by" : "all";
  row.querySelector("[data-hide]").setAttribute("aria-pressed", String(hidden));
  const fit = () => {
    row.querySelector("[data-by]").hidden = field("grouping").value !== "by";
    row.querySelector("[data-across]").hidden = field("grouping").value === "each";
  };
  field("grouping").addEventListener("change", fit);
  fit();
  return row;
}

function queryOf(row) {
  const value = (name) => row.querySelector(`[name=${name}]`).value.trim();
  const labels = value("by").split(/[\s,]+/).filter(Boolean);
  const by = { each: null, all: [], by: labels.length ? labels : ["node"] }[value("grouping")];
  return {
    id: idOf(row),
    metric: value("metric"),
    match: matchers(value("match")),
    over: value("over"),
    by,
    across: value("across"),
    top: Number(value("top")) || null,
    hidden: row.querySelector("[data-hide]").getAttribute("aria-pressed") === "true",
  };
}

function formulaRow({ id, expr }) {
  const row = copyOf("formula");
  row.querySelector("[data-id]").textContent = id;
  row.setAttribute("aria-label", `Formula ${id}`);
  row.querySelector("[name=expr]").value = expr;
  return row;
}

function thresholdRow({ value, label }) {
  const row = copyOf("threshold");
  row.querySelector("[name=value]").value = value;
  row.querySelector("[name=label]").value = label;
  return row;
}

function thresholdOf(row) {
  const value = row.querySelector("[name=value]").valueAsNumber;
  return Number.isFinite(value) ? { value, label: row.querySelector("[name=label]").value.trim() } : null;
}
