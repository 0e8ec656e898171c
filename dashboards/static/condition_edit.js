// The editor of a condition: while one writes, its sentence, its graph with the limit, its groups, and its last month.
import { nowS } from "./clock.js";
import { loneChart } from "./lone_chart.js";
import { suggest } from "./suggest.js";

const PAUSE_MS = 400;
const SHOWN_S = 86400;
const DAY_S = 86400;

const form = document.getElementById("condition");
const preview = document.querySelector(".preview");
const [says, groups, month] = ["says", "found", "backtest"].map((id) => document.getElementById(id));
const EMPTY = { queries: [], formulas: [], shift: [], thresholds: [], kind: "lines", log: false, unit: null };
const chart = loneChart(document.getElementById("chart"), EMPTY, nowS() - SHOWN_S, nowS());

let asking = null;
let timer = 0;
let last = "";

function look() {
  form.dataset.kind = preview.dataset.kind = form.elements.kind.value;
  form.dataset.groups = form.elements.groups?.value ?? "";
  clearTimeout(timer);
  timer = setTimeout(ask, PAUSE_MS);
}

async function ask() {
  const sent = new URLSearchParams(new FormData(form));
  sent.delete("name");
  if (sent.toString() === last) return;
  last = sent.toString();
  asking?.abort();
  if (sent.get("kind") === "metric" && !sent.get("metric").trim()) return begin();
  asking = new AbortController();
  try {
    const found = await post("/conditions/preview", sent, asking.signal);
    says.textContent = found.sentence ? `Fires when ${found.sentence}.` : "Now give it a limit.";
    showGroups(found);
    preview.classList.toggle("drawn", Boolean(found.graph));
    if (found.graph) chart.show({ graph: found.graph, fromS: nowS() - SHOWN_S, toS: nowS() });
    month.hidden = !found.graph || !found.sentence;
    if (month.hidden) return;
    month.classList.add("busy");
    showMonth(await post("/conditions/backtest", sent, asking.signal));
  } catch (error) {
    if (error.name === "AbortError") return;
    says.textContent = error.message;
    groups.hidden = month.hidden = true;
  } finally {
    month.classList.remove("busy");
  }
}

function begin() {
  says.textContent = "Name a metric: its graph is drawn here, with the limit, and what the condition would have told of in the last month.";
  groups.hidden = month.hidden = true;
  preview.classList.remove("drawn");
}

async function post(address, body, signal) {
  const answer = await fetch(address, { method: "POST", body, signal, headers: { accept: "application/json" } });
  const found = await answer.json().catch(() => ({}));
  if (answer.ok) return found;
  throw new Error(found.detail ?? `The server answered ${answer.status}`);
}

function showGroups({ groups: found, count, over }) {
  groups.hidden = !found.length && count === undefined;
  if (groups.hidden) return;
  const limited = over === null ? `${count} ${count === 1 ? "group" : "groups"}` : `${over} of ${count} over the limit`;
  const title = count ? `Now: ${limited}` : "Nothing has sent this within the window";
  const state = (isOver) => (over === null ? "off" : isOver ? "firing" : "ok");
  const rows = found.map(({ group, value, is_over: isOver }) => row([status(state(isOver), group || "all together"), value]));
  groups.replaceChildren(text("h2", title), scroll(table([], rows)));
}

function showMonth(found) {
  const { notices, days, heard_days: heard, groups: tried, count, step, incidents, thresholds } = found;
  const told = text("p", "");
  told.append(`In the last ${days} days it would have sent `, text("b", `${notices} ${notices === 1 ? "notice" : "notices"}`), `, judged every ${step}.`);
  const notes = [];
  if (heard < days - 1) notes.push(heard ? `Only ${heard} days are stored.` : "Nothing of it is stored yet.");
  if (tried < count) notes.push(`Tried over the ${tried} groups with the largest values, of ${count}.`);
  const parts = [text("h2", "Tried over what is stored"), told];
  if (notes.length) parts.push(text("p", notes.join(" "), "muted"));
  if (incidents.length) parts.push(daysOf(incidents, days), scroll(table(["When", "What", "For", "Worst"], incidents.map(incidentRow))));
  if (thresholds.length > 1) parts.push(table(["At another limit", "Notices", "Fired in all"], thresholds.map(limitRow)));
  month.replaceChildren(...parts);
}

function incidentRow({ group, began_s: beganS, lasted, worst }) {
  const when = new Date(beganS * 1000).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  return row([when, group || "all together", lasted, worst]);
}

function limitRow({ threshold, shown, notices, fired, is_asked: isAsked }) {
  const take = text("button", shown);
  take.type = "button";
  take.title = "Take this limit";
  take.addEventListener("click", () => {
    form.elements.threshold.value = threshold;
    look();
  });
  const made = row([take, String(notices), fired]);
  made.classList.toggle("asked", isAsked);
  return made;
}

/** A bar a day, as high as there were incidents. */
function daysOf(incidents, days) {
  const counts = new Array(days).fill(0);
  for (const { began_s: beganS } of incidents) counts[Math.min(days - 1, Math.max(0, days - 1 - Math.floor((nowS() - beganS) / DAY_S)))] += 1;
  const most = Math.max(...counts);
  const chartOfDays = text("div", "", "days");
  chartOfDays.setAttribute("role", "img");
  chartOfDays.setAttribute("aria-label", `Incidents a day over ${days} days, at most ${most}`);
  for (const count of counts) {
    const bar = text("i", "");
    bar.style.height = `${(count / most) * 100}%`;
    chartOfDays.append(bar);
  }
  return chartOfDays;
}

function table(heads, rows) {
  const made = document.createElement("table");
  if (heads.length) made.createTHead().append(row(heads, "th"));
  made.createTBody().append(...rows);
  return made;
}

function row(cells, kind = "td") {
  const made = document.createElement("tr");
  for (const cell of cells) {
    const one = document.createElement(kind);
    one.append(cell);
    made.append(one);
  }
  return made;
}

function status(state, words) {
  const made = text("span", words, "status");
  made.dataset.state = state;
  return made;
}

function scroll(inner) {
  const made = text("div", "", "scroll");
  made.append(inner);
  return made;
}

function text(tag, words, name = "") {
  const made = document.createElement(tag);
  made.textContent = words;
  if (name) made.className = name;
  return made;
}

const metric = form.elements.metric;
if (metric) {
  suggest(metric, {
    find: async (words) => {
      const answer = await fetch(`/api/v1/metrics/search?q=${encodeURIComponent(words)}&limit=20`, { headers: { accept: "application/json" } });
      return answer.ok ? (await answer.json()).metrics.map(({ name }) => ({ value: name })) : [];
    },
    onPick: (value) => {
      metric.value = value;
      look();
    },
  });
}
form.addEventListener("input", look);
look();
