// The rows that a graph's queries and formulas are written in.
import { Chips } from "./chips.js";
import { QUERIES_MAX, emptyQuery, freeId } from "./graph.js";
import { suggest } from "./suggest.js";

const PAUSE_MS = 400; // after the last key of a formula
const MATCHER = /^([A-Za-z_][A-Za-z0-9_.]*)(=~|!~|!=|=)(.*)$/s;

export class Editor {
  #timer = 0;

  /** onChange (graph) when something was changed; it may be incomplete */
  constructor(root, onChange) {
    this.root = root;
    this.onChange = onChange;
  }

  /** Show another graph. */
  set(graph) {
    this.graph = graph;
    const queries = graph.queries.length ? graph.queries : [emptyQuery("A")];
    if (!graph.queries.length) this.graph = { ...graph, queries };
    this.root.replaceChildren(...queries.map((query) => this.#queryRow(query)), ...graph.formulas.map((one) => this.#formulaRow(one)));
    this.#colour();
  }

  add(isFormula) {
    const { queries, formulas } = this.graph;
    const id = freeId([...queries, ...formulas].map((one) => one.id), isFormula);
    if (!id || (isFormula ? formulas : queries).length >= QUERIES_MAX) return;
    if (isFormula) this.#put({ formulas: [...formulas, { id, expr: "", hidden: false }] });
    else this.#put({ queries: [...queries, emptyQuery(id)] });
    this.focus(id);
  }

  focus(id = this.graph.queries[0].id) {
    this.root.querySelector(`[data-id="${id}"] input`)?.focus();
  }

  /** Take a metric for the first query that has none. */
  take(metric) {
    const { id } = this.graph.queries.find((query) => !query.metric) ?? this.graph.queries[0];
    this.#put({ queries: this.graph.queries.map((query) => (query.id === id ? { ...query, metric } : query)) });
  }

  #put(change) {
    this.set({ ...this.graph, ...change });
    this.onChange(this.graph);
  }

  /** Change one row's query or formula without making the rows anew. */
  #change(id, change) {
    const changed = (all) => all.map((one) => (one.id === id ? { ...one, ...change } : one));
    this.graph = { ...this.graph, queries: changed(this.graph.queries), formulas: changed(this.graph.formulas) };
    clearTimeout(this.#timer);
    this.onChange(this.graph);
  }

  #queryRow(query) {
    const row = this.#row("query", `Query ${query.id}`, query);
    const { id } = query;
    const metric = row.elements.metric;
    metric.value = query.metric;
    const takeMetric = (value) => {
      metric.value = value;
      if (value !== this.#of(id).metric) this.#change(id, { metric: value });
    };
    suggest(metric, { find: searchMetrics, onPick: takeMetric });
    metric.addEventListener("keydown", (event) => event.key === "Enter" && takeMetric(metric.value.trim()));
    metric.addEventListener("change", () => takeMetric(metric.value.trim()));
    const chips = (name, label, more) => {
      const found = new Chips(row.querySelector(`[data-field=${name}]`), { label: `${label} of query ${id}`, onChange: (values) => this.#change(id, { [name]: values }), ...more });
      found.values = query[name] ?? [];
      return found;
    };
    chips("match", "Conditions", { placeholder: "label=value", find: (text) => findMatcher(text, this.#of(id).metric), check: checkMatcher, isWhole: (text) => MATCHER.exec(text)?.[3] !== "" });
    chips("by", "Labels", { placeholder: "node", find: (text) => findLabels(text, this.#of(id).metric), check: checkLabel });
    for (const name of ["over", "across"]) {
      row.elements[name].value = query[name];
      row.elements[name].addEventListener("change", () => this.#change(id, { [name]: row.elements[name].value }));
    }
    this.#wireTop(row, query);
    this.#wireLines(row, query);
    row.querySelector("[data-duplicate]").addEventListener("click", () => {
      const next = freeId([...this.graph.queries, ...this.graph.formulas].map((one) => one.id), false);
      if (this.graph.queries.length < QUERIES_MAX) this.#put({ queries: [...this.graph.queries, { ...this.#of(id), id: next }] });
    });
    return row;
  }

  #wireTop(row, { id, top }) {
    const select = row.elements.top;
    if (top !== null && ![...select.options].some((option) => option.value === String(top))) select.add(new Option(`top ${top}`, top));
    select.value = top ?? "";
    select.addEventListener("change", () => this.#change(id, { top: select.value ? Number(select.value) : null }));
  }

  /** `by` is null, none, or some labels; the fields that say nothing then are away. */
  #wireLines(row, { id, by }) {
    const select = row.elements.lines;
    select.value = by === null ? "each" : by.length ? "by" : "all";
    const show = () => (row.dataset.lines = select.value);
    show();
    select.addEventListener("change", () => {
      show();
      const chosen = { each: null, all: [], by: this.#of(id).by?.length ? this.#of(id).by : ["node"] }[select.value];
      this.#put({ queries: this.graph.queries.map((query) => (query.id === id ? { ...query, by: chosen, top: chosen?.length === 0 ? null : query.top } : query)) });
      this.root.querySelector(`[data-id="${id}"] [name=lines]`).focus();
    });
  }

  #formulaRow(one) {
    const row = this.#row("formula", `Formula ${one.id}`, one);
    const { expr } = row.elements;
    expr.value = one.expr;
    const take = () => expr.value !== this.#of(one.id)?.expr && this.#change(one.id, { expr: expr.value });
    expr.addEventListener("change", take);
    expr.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(take, PAUSE_MS);
    });
    return row;
  }

  #row(kind, title, { id, hidden }) {
    const row = document.getElementById(kind).content.firstElementChild.cloneNode(true);
    row.dataset.id = id;
    row.querySelector("legend").textContent = title;
    const badge = row.querySelector("[data-hide]");
    badge.textContent = id;
    const show = (isShown) => {
      badge.setAttribute("aria-pressed", String(isShown));
      badge.setAttribute("aria-label", `${title} is ${isShown ? "shown" : "hidden"}`);
      badge.title = isShown ? "Shown; press to hide" : "Hidden; press to show";
    };
    show(!hidden);
    badge.addEventListener("click", () => {
      const isHidden = !this.#of(id).hidden;
      show(!isHidden);
      this.#change(id, { hidden: isHidden });
    });
    row.querySelector("[data-remove]").addEventListener("click", () => {
      const keep = (all) => all.filter((other) => other.id !== id);
      this.#put({ queries: keep(this.graph.queries), formulas: keep(this.graph.formulas) });
      this.focus(this.graph.queries.at(-1).id);
    });
    return row;
  }

  #of(id) {
    return [...this.graph.queries, ...this.graph.formulas].find((one) => one.id === id);
  }

  #colour() {
    const isAlone = this.graph.queries.length + this.graph.formulas.length === 1;
    for (const button of this.root.querySelectorAll("[data-remove]")) button.disabled = isAlone;
  }
}

async function searchMetrics(text) {
  const { metrics } = await get("/api/v1/metrics/search", { q: text, limit: 30 });
  return metrics.map(({ name, series, nodes }) => ({ value: name, detail: series === nodes ? plural(nodes, "node") : `${plural(series, "series", "series")} · ${plural(nodes, "node")}` }));
}

/** Labels until an operator is typed, then the label's values. */
async function findMatcher(text, metric) {
  const [, label, operator, value] = MATCHER.exec(text) ?? [];
  if (!label) return (await findLabels(text.replace(/[!=~]+$/, ""), metric)).map((one) => ({ ...one, label: one.value, value: `${one.value}=` }));
  const isPattern = operator.endsWith("~");
  const { values } = await get(`/api/v1/labels/${encodeURIComponent(label)}/values`, { metric, q: isPattern ? value.replace(/\W+/g, "") && "" : value.replace(/^"|"$/g, ""), limit: 30 });
  return values.map((one) => ({ value: `${label}${operator}${isPattern ? one.value.replace(/[^\w\s/:-]/g, "\\$&") : quoted(one.value)}`, label: one.value, detail: plural(one.series, "series", "series") }));
}

async function findLabels(text, metric) {
  const [{ labels }, { values: nodes, more }] = await Promise.all([
    get("/api/v1/labels", { metric }),
    get("/api/v1/labels/node/values", { metric, limit: 1 }),
  ]);
  const all = [{ name: "node", detail: more ? "every series has one" : plural(nodes.length, "value") }, ...labels.map(({ name, values }) => ({ name, detail: plural(values, "value") }))];
  return all.filter(({ name }) => name.toLowerCase().includes(text.toLowerCase())).map(({ name, detail }) => ({ value: name, detail }));
}

async function get(address, query) {
  const answer = await fetch(`${address}?${new URLSearchParams(query)}`, { headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error(answer.status);
  return answer.json();
}

const quoted = (value) => (value === value.trim() && !value.startsWith('"') ? value : JSON.stringify(value));
const checkMatcher = (text) => (MATCHER.test(text) ? null : "Write label=value, or with !=, =~ for a pattern, !~");
const checkLabel = (text) => (/^[A-Za-z_][A-Za-z0-9_.]*$/.test(text) ? null : "Write the name of a label, as node");
const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
