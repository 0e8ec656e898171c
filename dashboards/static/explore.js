// The explorer: a graph that is made by hand, over a stretch of time, all of it in the address.
import { isTyping } from "./app.js";
import { Chart } from "./chart.js";
import { currentZone, onChange, setZone } from "./choices.js";
import { nowS } from "./clock.js";
import { linkCursors } from "./cursor.js";
import { Editor } from "./explore_editor.js";
import { wireShare } from "./explore_share.js";
import { complete, thresholdText, thresholdsOf, toUrl } from "./graph.js";
import { Overlay, subjectOf } from "./overlay.js";
import { absolute, bounds, isLive, lengthS, parse, refreshMs } from "./range.js";
import { instant } from "./ticks.js";
import { wireToolbar } from "./toolbar.js";

const root = document.getElementById("explore");
const looks = root.querySelector(".looks");
const page = { graph: JSON.parse(root.dataset.graph), range: parse(location.search), timer: 0 };
const announce = (words) => (document.getElementById("announce").textContent = words);

const editor = new Editor(document.getElementById("queries"), (graph) => change(graph));
const [fromS, toS] = bounds(page.range);
const chart = new Chart(document.getElementById("chart"), {
  graph: complete(page.graph), fromS, toS, legend: "table", tellsGaps: true, onAnswer: (answered) => overlay.answered(answered),
});
const overlay = new Overlay({
  charts: () => [chart],
  subject: ({ lines, graph }) => subjectOf(lines, graph.queries),
  button: document.querySelector("[data-events]"),
  list: document.getElementById("happened"),
  onSwitch: push,
});

/** Another graph, made here: a new step of the browser's history. */
function change(graph) {
  page.graph = graph;
  push();
  show();
}

function go(range) {
  page.range = range;
  push();
  show();
}

function push() {
  const query = `?${[toUrl(complete(page.graph)), rangeQuery(), overlay.isOn ? "" : "events=0"].filter(Boolean).join("&")}`;
  if (query !== location.search) history.pushState({ graph: page.graph, steps: steps() + 1 }, "", query);
}

function readEvents() {
  overlay.isOn = new URLSearchParams(location.search).get("events") !== "0";
}

const rangeQuery = () => (isLive(page.range) ? `range=${page.range.last}` : `from=${page.range.fromS}&to=${page.range.toS}`);
const steps = () => history.state?.steps ?? 0;

async function show() {
  clearTimeout(page.timer);
  const [from, to] = bounds(page.range);
  const graph = complete(page.graph);
  const isBegun = graph.queries.length > 0;
  document.getElementById("graphs").hidden = !isBegun;
  looks.hidden = !isBegun;
  document.getElementById("share").hidden = !isBegun;
  document.getElementById("begin").hidden = isBegun;
  document.getElementById("happened").hidden = !isBegun || !overlay.isOn;
  tools.show(page.range, from, to);
  tellLooks(graph);
  if (!isBegun) listMetrics();
  document.title = `${isBegun ? graph.queries.map(({ metric }) => metric).join(", ") : "Explore"} · Metrist`;
  overlay.show(from, to);
  await chart.show({ graph, fromS: from, toS: to });
  schedule();
}

function schedule() {
  clearTimeout(page.timer);
  if (isLive(page.range) && !document.hidden) page.timer = setTimeout(advance, refreshMs(page.range));
}

async function advance() {
  const [from, to] = bounds(page.range);
  tools.show(page.range, from, to);
  overlay.show(from, to);
  await chart.refresh(from, to);
  schedule();
}

/** The stretch of time moved, or made wider, by shares of itself. */
function shift(by, widen = 0) {
  const [from, to] = bounds(page.range);
  const length = to - from;
  const end = Math.min(to + length * (by + widen), nowS() + (isLive(page.range) ? 0 : length * 0.1));
  go(absolute(widen ? from - length * widen : end - length, end));
}

function tellLooks({ kind, shift: compared, log, unit, thresholds }) {
  const press = (selector, isPressed) => looks.querySelectorAll(selector).forEach((button) => button.setAttribute("aria-pressed", String(isPressed(button.dataset))));
  press("[data-kind]", (data) => data.kind === kind);
  press("[data-compare]", (data) => compared.includes(data.compare));
  press("[data-log]", () => log);
  looks.querySelector("#unit").value = unit ?? "";
  const field = looks.querySelector("#thresholds");
  if (document.activeElement !== field) field.value = thresholds.map(thresholdText).join(", ");
}

looks.addEventListener("click", ({ target }) => {
  const { kind, compare, log } = target.closest("button")?.dataset ?? {};
  const { shift: compared } = page.graph;
  if (kind) change({ ...page.graph, kind });
  if (compare) change({ ...page.graph, shift: compared.includes(compare) ? compared.filter((one) => one !== compare) : [...compared, compare] });
  if (log !== undefined) change({ ...page.graph, log: !page.graph.log });
  if (kind || compare || log !== undefined) editor.graph = page.graph;
});
looks.addEventListener("change", ({ target }) => {
  if (target.id === "unit") change({ ...page.graph, unit: target.value || null });
  if (target.id === "thresholds") {
    const thresholds = thresholdsOf(target.value);
    target.setCustomValidity(thresholds ? "" : "Write values, and what they are called, as 80:high, 95");
    if (!target.reportValidity()) return;
    change({ ...page.graph, thresholds });
  }
  editor.graph = page.graph;
});

/** What there is, to begin with. */
async function listMetrics() {
  const answer = await fetch("/api/v1/metrics/search?limit=24", { headers: { accept: "application/json" } });
  const { metrics } = answer.ok ? await answer.json() : { metrics: [] };
  document.getElementById("no-metrics").hidden = metrics.length > 0;
  document.getElementById("metrics").replaceChildren(
    ...metrics.map(({ name, series }) => {
      const item = document.createElement("li");
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
      button.append(Object.assign(document.createElement("small"), { textContent: `${series.toLocaleString("en")} series` }));
      button.addEventListener("click", () => editor.take(name));
      item.append(button);
      return item;
    }),
  );
}

const tools = wireToolbar({
  root,
  pick: (last) => go({ last, lengthS: lengthS(last) }),
  pickBetween: (from, to) => go(absolute(from, to)),
  shift,
  zone: setZone,
});
linkCursors(document.getElementById("graphs"), {
  seen: () => [chart],
  zone: currentZone,
  told: (_, atS) => overlay.toldAt(chart, atS),
  onSelect: (from, to) => {
    go(absolute(from, to));
    announce(`Showing ${instant(from, currentZone())} to ${instant(to, currentZone())}`);
  },
  onBack: () => (steps() ? history.back() : undefined),
});
wireShare({
  question: () => ({ from: chart.fromS, to: chart.toS, points: chart.points, graph: chart.graph }),
  answer: () => chart.answer,
  when: rangeQuery,
  say: announce,
});
root.querySelector(".adds").addEventListener("click", ({ target }) => target.dataset.add && editor.add(target.dataset.add === "formula"));
onChange("theme", () => chart.recolour());
onChange("zone", () => {
  tools.show(page.range, ...bounds(page.range));
  chart.redraw();
});
addEventListener("popstate", ({ state }) => {
  if (!state?.graph) return location.reload();
  page.graph = state.graph;
  page.range = parse(location.search);
  readEvents();
  editor.set(page.graph);
  show();
});
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(page.timer) : isLive(page.range) && advance()));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const does = { "[": () => shift(-0.5), "]": () => shift(0.5), "-": () => shift(0, 0.5), o: () => overlay.button.click() }[event.key];
  does?.();
});

readEvents();
history.replaceState({ graph: page.graph, steps: steps() }, "");
editor.set(page.graph);
show();
