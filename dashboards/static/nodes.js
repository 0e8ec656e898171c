// The table of nodes: one model of what the server said, drawn as rows that keep themselves current.
import { isTyping } from "./app.js";
import { tellAge } from "./clock.js";
import { number } from "./format.js";
import { drawSparkline, sparkline } from "./sparkline.js";
import { follow } from "./stream.js";

const STATES = ["offline", "late", "online", "deregistered"]; // what needs a look comes first
const FIGURES = {
  cpu: { unit: "percent", limits: () => [0, 100] },
  mem: { unit: "percent", limits: () => [0, 100] },
  disk: { unit: "percent", limits: () => [0, 100] },
  load: { unit: "count", limits: fit },
  net: { unit: "bytes_per_s", limits: fit },
};
const ROWS_AT_ONCE = 200;

const byName = new Intl.Collator("en", { numeric: true });
const table = document.getElementById("nodes");
const body = table.tBodies[0];
const filter = document.querySelector("[data-filter]");
const announce = document.getElementById("announce");
const nodes = new Map();
const rows = new Map();
const view = readView();
let shown = [];
let limit = ROWS_AT_ONCE;
let active = null;

function fit(values) {
  return [0, Math.max(...values.filter((value) => value !== null), 0)];
}

function take(message) {
  if (message.whole) forgetOthers(new Set(message.nodes.map((node) => node.name)));
  for (const name of message.removed ?? []) forget(name);
  for (const change of message.nodes) {
    const before = nodes.get(change.name);
    if (before && change.state && change.state !== before.state) say(`${change.name} is ${change.state}`);
    nodes.set(change.name, { ...before, ...change });
    fill(rowOf(change.name), nodes.get(change.name));
  }
  document.getElementById("figures-away").hidden = !message.away?.includes("figures");
  arrange();
}

function forgetOthers(names) {
  for (const name of [...nodes.keys()]) if (!names.has(name)) forget(name);
}

function forget(name) {
  nodes.delete(name);
  rows.get(name)?.remove();
  rows.delete(name);
}

function rowOf(name) {
  if (!rows.has(name)) {
    const row = document.getElementById("row").content.firstElementChild.cloneNode(true);
    const link = row.querySelector("a");
    link.textContent = name;
    link.href = `/nodes/${name.split("/").map(encodeURIComponent).join("/")}`;
    for (const cell of row.querySelectorAll("[data-figure]")) cell.prepend(sparkline());
    rows.set(name, row);
  }
  return rows.get(name);
}

function fill(row, node) {
  const state = row.querySelector(".state");
  state.dataset.state = node.state;
  state.textContent = node.state;
  row.querySelector(".chips").replaceChildren(...Object.entries(node.labels ?? {}).map(chip));
  tellAge(row.querySelector("[data-ago]"), node.contact_s);
  for (const cell of row.querySelectorAll("[data-figure]")) {
    const { unit, limits } = FIGURES[cell.dataset.figure];
    const figure = node.figures?.[cell.dataset.figure];
    cell.lastElementChild.textContent = number(figure?.last, unit);
    if (figure) drawSparkline(cell.firstChild, figure.minutes, limits(figure.minutes));
  }
}

function chip([key, value]) {
  const element = document.createElement("span");
  element.className = "chip";
  const name = document.createElement("b");
  name.textContent = value;
  element.append(`${key} `, name);
  return element;
}

/** Put the rows that match into the order asked for; rows move only when they must. */
function arrange() {
  const all = [...nodes.values()];
  count(all);
  const wanted = all.filter(matches).sort(compare);
  const isHeld = body.matches(":hover") || body.contains(document.activeElement);
  const were = new Set(shown);
  const sameNodes = wanted.length === were.size && wanted.every((node) => were.has(node.name));
  if (!(isHeld && sameNodes)) shown = wanted.map((node) => node.name);
  const cut = shown.slice(0, limit).map((name) => rows.get(name));
  if (cut.length !== body.children.length || cut.some((row, i) => row !== body.children[i])) body.replaceChildren(...cut);
  document.getElementById("more").hidden = shown.length <= limit;
  document.getElementById("none").hidden = shown.length > 0 || all.length === 0;
  document.getElementById("first").hidden = all.length > 0;
  document.getElementById("list").hidden = all.length === 0;
  mark();
}

function count(all) {
  for (const button of document.querySelectorAll("[data-state-filter]")) {
    const state = button.dataset.stateFilter;
    const n = state ? all.filter((node) => node.state === state).length : all.length;
    button.querySelector(".count").textContent = n;
    button.setAttribute("aria-pressed", String(view.state === state));
    button.hidden = n === 0 && state !== "" && view.state !== state;
  }
}

function matches(node) {
  if (view.state && node.state !== view.state) return false;
  const labels = Object.entries(node.labels ?? {}).map(([key, value]) => `${key}=${value}`);
  const text = [node.name, ...labels].join(" ").toLowerCase();
  return view.text.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

function compare(a, b) {
  const sign = view.descending ? -1 : 1;
  const key = sortKeys[view.sort] ?? sortKeys.name;
  const [x, y] = [key(a), key(b)];
  if (x !== y && (x === null || y === null)) return x === null ? 1 : -1; // what is unknown comes last either way
  return (x === y ? 0 : x < y ? -sign : sign) || byName.compare(a.name, b.name) * (view.sort === "name" ? sign : 1);
}

const sortKeys = {
  name: () => 0,
  state: (node) => STATES.indexOf(node.state),
  contact: (node) => (node.contact_s ? -node.contact_s : null),
  ...Object.fromEntries(Object.keys(FIGURES).map((key) => [key, (node) => node.figures?.[key]?.last ?? null])),
};

function readView() {
  const query = new URLSearchParams(location.search);
  const sort = query.get("sort") ?? "name";
  return {
    text: query.get("q") ?? "",
    state: query.get("state") ?? "",
    sort: sort.replace(/^-/, ""),
    descending: sort.startsWith("-"),
  };
}

function writeView() {
  const query = new URLSearchParams();
  if (view.text) query.set("q", view.text);
  if (view.state) query.set("state", view.state);
  if (view.sort !== "name" || view.descending) query.set("sort", (view.descending ? "-" : "") + view.sort);
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
  showSort();
  arrange();
}

function showSort() {
  for (const button of table.querySelectorAll("[data-sort]")) {
    const order = button.dataset.sort === view.sort ? (view.descending ? "descending" : "ascending") : null;
    if (order) button.closest("th").setAttribute("aria-sort", order);
    else button.closest("th").removeAttribute("aria-sort");
  }
}

function say(words) {
  announce.textContent = words;
}

/** Show which row the keyboard is on. */
function mark() {
  for (const [name, row] of rows) row.toggleAttribute("data-active", name === active);
}

function move(by) {
  const seen = shown.slice(0, limit);
  if (!seen.length) return;
  const at = seen.indexOf(active);
  active = seen[Math.min(Math.max(at + by, 0), seen.length - 1)];
  mark();
  rows.get(active).querySelector("a").focus({ preventScroll: true });
  rows.get(active).scrollIntoView({ block: "nearest" });
}

table.tHead.addEventListener("click", (event) => {
  const sort = event.target.closest("[data-sort]")?.dataset.sort;
  if (!sort) return;
  view.descending = view.sort === sort ? !view.descending : sort in FIGURES;
  view.sort = sort;
  writeView();
});
document.getElementById("states").addEventListener("click", (event) => {
  const button = event.target.closest("[data-state-filter]");
  if (!button) return;
  view.state = button.dataset.stateFilter;
  writeView();
});
filter.addEventListener("input", () => {
  view.text = filter.value.trim();
  limit = ROWS_AT_ONCE;
  writeView();
});
document.getElementById("more").addEventListener("click", () => {
  limit += ROWS_AT_ONCE;
  arrange();
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === filter) {
    if (event.key === "Enter" || event.key === "ArrowDown") move(active && shown.includes(active) ? 0 : 1);
    if (event.key === "Escape") filter.blur();
    return;
  }
  if (isTyping(event.target)) return;
  if (event.key === "j") move(1);
  if (event.key === "k") move(-1);
  if (event.key === "Enter" && active && !event.target.closest("a, button")) location.assign(rows.get(active).querySelector("a").href);
  if (event.key === "Escape" && (view.text || view.state)) {
    Object.assign(view, { text: "", state: "" });
    filter.value = "";
    writeView();
  }
});

filter.value = view.text;
showSort();
take(JSON.parse(document.getElementById("known").textContent));
follow("", take);
