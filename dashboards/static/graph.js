// A graph of the query model in the browser: empty ones, ids, and its address as domain/query.py writes it.
export const EMPTY = { queries: [], formulas: [], shift: [], kind: "lines", log: false, unit: null, thresholds: [] };
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
export const QUERIES_MAX = 10;

export const emptyQuery = (id) => ({ id, metric: "", match: [], over: "avg", by: null, across: "avg", top: null, hidden: false });

/** The first letter, or F and a number, that is not taken. */
export function freeId(taken, isFormula) {
  const ids = isFormula ? Array.from({ length: 99 }, (_, i) => `F${i + 1}`) : [...LETTERS];
  return ids.find((id) => !taken.includes(id));
}

/** The part of a graph that can be asked for: queries with a metric, formulas with an expression. */
export function complete(graph) {
  return { ...graph, queries: graph.queries.filter(({ metric }) => metric), formulas: graph.formulas.filter(({ expr }) => expr.trim()) };
}

/** An address's parameters, without `?`: what domain/query.py's to_url gives. */
export function toUrl(graph) {
  const pairs = [];
  for (const { id, metric, match, over, by, across, top, hidden } of graph.queries) {
    pairs.push([id, metric], ...match.map((text) => [`${id}.match`, text]));
    if (over !== "avg") pairs.push([`${id}.over`, over]);
    if (by !== null) pairs.push([`${id}.by`, by.join(",")]);
    if (across !== "avg") pairs.push([`${id}.across`, across]);
    if (top !== null) pairs.push([`${id}.top`, String(top)]);
    if (hidden) pairs.push([`${id}.hidden`, "1"]);
  }
  for (const { id, expr, hidden } of graph.formulas) pairs.push([id, expr], ...(hidden ? [[`${id}.hidden`, "1"]] : []));
  pairs.push(...graph.shift.map((text) => ["shift", text]));
  if (graph.kind !== "lines") pairs.push(["kind", graph.kind]);
  if (graph.log) pairs.push(["log", "1"]);
  if (graph.unit) pairs.push(["unit", graph.unit]);
  pairs.push(...graph.thresholds.map((one) => ["threshold", thresholdText(one)]));
  return pairs.map(([key, value]) => `${key}=${escaped(value)}`).join("&");
}

export const thresholdText = ({ value, label }) => (label ? `${value}:${label}` : String(value));

/** `80:high, 95` as thresholds; null when that is none. */
export function thresholdsOf(text) {
  const parts = text.split(",").map((part) => part.trim()).filter(Boolean);
  const found = parts.map((part) => /^(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?::(.*))?$/i.exec(part));
  return found.every(Boolean) ? found.map(([, value, label = ""]) => ({ value: Number(value), label })) : null;
}

const PLAIN = { "%2F": "/", "%3A": ":", "%2C": ",", "%3D": "=", "'": "%27" };
const escaped = (text) => encodeURIComponent(text).replace(/%2F|%3A|%2C|%3D|'/g, (found) => PLAIN[found]);
