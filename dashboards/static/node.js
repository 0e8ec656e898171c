// A node's page: which graphs are on the screen, for which stretch of time, and how fresh they are.
import { isTyping } from "./app.js";
import { MARGIN } from "./axes.js";
import { currentZone, onChange, setZone } from "./choices.js";
import { nowS, tellAge } from "./clock.js";
import { linkCursors } from "./cursor.js";
import { LIVE_RANGE, wireLive } from "./live_bar.js";
import { Past, tellPast } from "./history.js";
import { Loader } from "./loader.js";
import { Panel } from "./panel.js";
import { absolute, bounds, isLive, lengthS, parse, push, refreshMs, steps } from "./range.js";
import { follow } from "./stream.js";
import { instant } from "./ticks.js";
import { wireToolbar } from "./toolbar.js";

const NEARLY_PX = 240; // beyond the screen's edges: graphs there are made ready
const WHOLE_EVERY = 12; // refreshes: one of them asks for everything again, and finds what arrived late
const EDGE_BUCKETS = 3;
const EDGE_S = 30;
const STRETCH_AFTER_MS = 400; // to draw all graphs twice takes longer than most answers do
const NEW_METRICS_MS = 60000;
const FIRST_METRICS_MS = 3000;

const root = document.getElementById("graphs");
const name = root.dataset.node;
const loader = new Loader(name);
const past = new Past(name, root);
const retell = tellPast();
const panels = new Map();
const page = { range: parse(location.search), fromS: 0, toS: 0, colours: null, refreshes: 0, timer: 0, redraw: 0, stretch: 0 };
const seen = () => [...panels.values()].filter((panel) => panel.isSeen);

const watcher = new IntersectionObserver((entries) => entries.forEach(sight), { rootMargin: `${NEARLY_PX}px 0px` });
const screen = new IntersectionObserver((entries) => entries.forEach(({ target, isIntersecting }) => (panelOf(target).isInView = isIntersecting)));
const sizes = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    panelOf(target.closest(".panel")).size = contentRect.width ? { width: Math.round(contentRect.width), height: Math.round(contentRect.height) } : null;
  }
  redrawSoon();
});
const panelOf = (element) => panels.get(element.dataset.metric);

function sight({ target, isIntersecting }) {
  const panel = panelOf(target);
  if (!panel) return;
  const isNew = isIntersecting && !panel.isSeen;
  panel.isSeen = isIntersecting;
  live.follow();
  if (isNew) refresh(panel);
}

/** Which graphs are on the screen, without waiting for the first frame, as the observers do. */
function look() {
  for (const panel of panels.values()) {
    const { top, bottom, height } = panel.element.getBoundingClientRect();
    panel.isInView = height > 0 && top < innerHeight && bottom > 0;
    panel.isSeen = height > 0 && top < innerHeight + NEARLY_PX && bottom > -NEARLY_PX;
  }
}

/** Fetch what a graph lacks: nothing, its newest buckets, or everything. */
async function refresh(panel, isWhole = false) {
  const window = page.window;
  if (panel.loaded === window && live.streams(panel.metric)) return;
  const isKnown = panel.loaded === window && !isWhole;
  if (isKnown && !isLive(page.range)) return redraw(panel);
  const tail = isKnown ? tailOf(panel) : null;
  panel.setBusy(!isKnown);
  try {
    if (tail) panel.extend(await loader.ask(panel.metric, tail), tail.fromS, page.fromS - EDGE_S);
    else panel.replace(await loader.ask(panel.metric, wholeOf(window)), window);
    if (window !== page.window) return;
    clearTimeout(page.stretch); // the others are as good as here
    panel.until = tail?.toS ?? page.toS;
    panel.fail(null);
    panel.setBusy(false);
    if (panel.isInView) redraw(panel);
    else whenIdle(() => redraw(panel));
  } catch (error) {
    if (error.name === "AbortError" || window !== page.window) return;
    panel.setBusy(false);
    panel.fail(error.message);
    if (error.retryAfterS) setTimeout(() => window === page.window && panel.isSeen && refresh(panel), error.retryAfterS * 1000);
  }
}

/** The window, and a little beyond its edges so that lines reach them. */
function wholeOf(window) {
  const length = page.toS - page.fromS;
  const beyond = Math.max((EDGE_BUCKETS * length) / window.points, Math.min(EDGE_S, length));
  const points = Math.round((window.points * (length + 2 * beyond)) / length);
  return { fromS: round(page.fromS - beyond), toS: round(page.toS + beyond), points };
}

/** The newest part of a live graph; null when so much is missing that all of it is cheaper. */
function tailOf(panel) {
  const step = panel.stepS || 1;
  const from = Math.floor((panel.until - Math.max(2 * step, 30)) / step) * step;
  return page.toS - from > page.range.lengthS / 2 ? null : { fromS: round(from), toS: round(page.toS), stepS: step };
}

const round = (atS) => Math.round(atS * 10) / 10;

function redraw(panel) {
  if (!panel.loaded || !globalThis.Plotly) return;
  panel.draw(globalThis.Plotly, { fromS: page.fromS, toS: page.toS, zone: currentZone(), colours: page.colours });
}

/** Graphs that are nearly on the screen give way to those that are. */
const whenIdle = globalThis.requestIdleCallback ?? setTimeout;

function redrawSoon() {
  cancelAnimationFrame(page.redraw);
  page.redraw = requestAnimationFrame(() => seen().forEach(redraw));
}

/** Show another stretch of time; what is here is stretched to it where the answer is not there within a moment. */
function show(range) {
  if (range.last !== LIVE_RANGE.last) live.end();
  loader.abort();
  page.range = range;
  page.refreshes = 0;
  [page.fromS, page.toS] = bounds(range);
  page.window = { points: points() };
  past.show(page.fromS, page.toS);
  fold();
  clearTimeout(page.stretch);
  page.stretch = setTimeout(() => seen().forEach((panel) => panel.loaded === page.window || redraw(panel)), STRETCH_AFTER_MS);
  for (const panel of seen()) refresh(panel);
  tools.show(range, page.fromS, page.toS);
  clearTimeout(page.timer);
  schedule();
}

/** Graphs whose newest sample is older than all that is shown make room for the others. */
function fold() {
  let folded = 0;
  for (const panel of panels.values()) {
    const isStale = panel.newestS < page.fromS;
    panel.element.classList.toggle("stale", isStale);
    folded += isStale;
  }
  const words = document.getElementById("folded");
  words.hidden = !folded;
  words.textContent = `${folded} ${folded === 1 ? "metric has" : "metrics have"} no samples in this range.`;
}

/** As many buckets as a graph has pixels, in hundreds so that graphs of almost one size share answers. */
function points() {
  const width = root.querySelector(".panel:not(.stale, [hidden]) .plot")?.clientWidth || 600;
  return Math.min(Math.max(Math.round((width - MARGIN.l - MARGIN.r) / 100) * 100, 200), 2000);
}

function schedule() {
  clearTimeout(page.timer);
  if (isLive(page.range) && !document.hidden) page.timer = setTimeout(advance, refreshMs(page.range));
}

async function advance() {
  [page.fromS, page.toS] = bounds(page.range);
  page.refreshes += 1;
  past.show(page.fromS, page.toS);
  fold();
  tools.show(page.range, page.fromS, page.toS);
  const isWhole = page.refreshes % WHOLE_EVERY === 0;
  await Promise.allSettled(seen().map((panel) => refresh(panel, isWhole)));
  schedule();
}

/** Let time pass over the graphs that stream. */
function frame() {
  [page.fromS, page.toS] = bounds(page.range);
  for (const panel of seen()) if (live.streams(panel.metric)) redraw(panel);
}

function go(range) {
  push(range);
  show(range);
}

function back() {
  if (steps()) history.back();
  else if (!isLive(page.range)) go(parse(""));
}

/** The stretch of time moved, or made wider, by shares of itself. */
function shift(by, widen = 0) {
  const length = page.toS - page.fromS;
  const most = nowS() + (isLive(page.range) ? 0 : length * 0.1);
  const to = Math.min(page.toS + length * (by + widen), most);
  const from = widen ? page.fromS - length * widen : to - length;
  go(absolute(from, to));
}

function takeColours() {
  const probe = document.getElementById("probe");
  const colourOf = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  page.colours = { lines: Array.from({ length: 8 }, (_, i) => colourOf(`c${i}`)), main: colourOf("text") };
}

function adopt(element) {
  const panel = new Panel(element);
  panels.set(panel.metric, panel);
  watcher.observe(element);
  screen.observe(element);
  sizes.observe(panel.plot);
}

/** Ask whether the node has metrics that this page was made without, and put their graphs in their places. */
async function findNewMetrics() {
  try {
    if (!document.hidden) {
      const answer = await fetch(`${location.pathname}?part=groups`, { headers: { accept: "text/html" } });
      if (answer.ok) addGroups(new DOMParser().parseFromString(await answer.text(), "text/html"));
    }
  } catch {
    // the server is away; the graphs say so
  }
  setTimeout(findNewMetrics, panels.size ? NEW_METRICS_MS : FIRST_METRICS_MS);
}

function addGroups(fresh) {
  let before = null;
  for (const group of fresh.querySelectorAll(".group")) {
    const here = root.querySelector(`#${CSS.escape(group.id)}`);
    if (!here) before ? before.after(group) : root.prepend(group);
    else addPanels(here.querySelector(".panels"), group);
    before = here ?? group;
    if (!here) for (const element of group.querySelectorAll(".panel")) adopt(element);
  }
  document.getElementById("no-metrics").hidden = panels.size > 0;
  tools.listGroups();
  fold();
}

function addPanels(grid, group) {
  let before = null;
  for (const element of group.querySelectorAll(".panel")) {
    const here = panels.get(element.dataset.metric)?.element;
    if (!here) {
      before ? before.after(element) : grid.prepend(element);
      adopt(element);
    }
    before = here ?? element;
  }
}

let marks = null; // what was odd about the node when the server told last

function showNode(message) {
  const node = message.nodes.find((one) => one.name === name);
  if (!node) return;
  const state = document.getElementById("state");
  const hasMoved = Boolean(node.state) && node.state !== state.dataset.state;
  if (hasMoved) {
    state.dataset.state = node.state;
    state.textContent = node.state;
    document.getElementById("announce").textContent = `${name} is ${node.state}`;
  }
  if (node.contact_s !== undefined) tellAge(document.getElementById("contact"), node.contact_s);
  const told = node.marks === undefined ? marks : JSON.stringify(node.marks);
  if (hasMoved || (marks !== null && told !== marks)) {
    past.refresh();
    retell();
  }
  marks = told;
}

const live = wireLive(name, {
  root,
  panels,
  seen,
  enter: () => page.range.last === LIVE_RANGE.last || go(LIVE_RANGE),
  leave: () => seen().forEach((panel) => refresh(panel, true)),
  frame,
});
const tools = wireToolbar({
  root,
  pick: (last) => go({ last, lengthS: lengthS(last) }),
  pickBetween: (fromS, toS) => go(absolute(fromS, toS)),
  shift,
  zone: setZone,
});
root.addEventListener("redraw", (event) => redraw(event.detail));
root.addEventListener("click", (event) => {
  const failed = event.target.closest("[data-retry]")?.closest(".panel");
  if (failed) refresh(panels.get(failed.dataset.metric), true);
});
linkCursors(root, {
  seen,
  zone: currentZone,
  standing: (atS) => past.standingAt(atS),
  told: (panel, atS) => past.toldAt(panel.metric, atS),
  onSelect: (fromS, toS) => {
    go(absolute(fromS, toS));
    document.getElementById("announce").textContent = `Showing ${instant(fromS, currentZone())} to ${instant(toS, currentZone())}`;
  },
  onBack: back,
});
onChange("theme", () => {
  takeColours();
  redrawSoon();
});
onChange("zone", () => {
  tools.show(page.range, page.fromS, page.toS);
  redrawSoon();
});
addEventListener("popstate", () => show(parse(location.search)));
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(page.timer) : isLive(page.range) && advance()));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const does = { "[": () => shift(-0.5), "]": () => shift(0.5), "-": () => shift(0, 0.5), o: () => document.querySelector("[data-bands]").click() }[event.key];
  does?.();
});

document.getElementById("plotly").addEventListener("load", redrawSoon); // data and Plotly are fetched side by side
takeColours();
for (const element of root.querySelectorAll(".panel")) adopt(element);
[page.fromS, page.toS] = bounds(page.range);
fold();
look();
show(page.range);
follow(`?node=${encodeURIComponent(name)}`, showNode);
setTimeout(findNewMetrics, panels.size ? NEW_METRICS_MS : FIRST_METRICS_MS);
