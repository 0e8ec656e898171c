// One graph: its data, its drawing, and the values its legend shows.
import { Axes, layoutOf, MARGIN, timesOf } from "./axes.js";
import { tellAge } from "./clock.js";
import { duration, number } from "./format.js";
import { instant, valueTicks } from "./ticks.js";
import { cadenceS, traces } from "./traces.js";

const TIERS = { live: "live", raw: "raw samples", "1m": "1 min rollup", "1h": "1 h rollup", "1d": "1 d rollup" };
const CONFIG = { staticPlot: true, displayModeBar: false, displaylogo: false, responsive: false };

export class Panel {
  #colours = 0; // how many lines have one: the total stands out without

  constructor(element) {
    this.element = element;
    this.metric = element.dataset.metric;
    this.unit = element.dataset.unit;
    this.plot = element.querySelector(".plot");
    this.legend = element.querySelector(".legend");
    this.lines = new Map();
    this.isSeen = false; // on the screen, or nearly so
    this.isInView = false;
    this.size = null; // {width, height} of the plot; to ask for it while others are drawn lays the page out each time
    this.newestS = Number(element.dataset.newest);
    this.loaded = null; // the window whose data is here
    for (const item of this.legend.querySelectorAll("[data-line]")) this.#adopt(item, JSON.parse(item.dataset.line));
    this.legend.addEventListener("click", (event) => this.#pick(event));
    this.axes = new Axes(this.plot);
    this.plot.append(Object.assign(div("lane"), { hidden: false }), div("cursor"), div("selection"));
  }

  /** Replace all data with an answer of the server's. */
  replace(answer, window) {
    for (const line of this.lines.values()) Object.assign(line, EMPTY());
    this.#merge(answer, -Infinity);
    this.loaded = window;
  }

  /** Put newer buckets in the place of the same ones here, and forget those that have left the window. */
  extend(answer, tailFromS, windowFromS) {
    for (const line of this.lines.values()) cut(line, windowFromS, tailFromS);
    this.#merge(answer, tailFromS);
  }

  /** Put live samples behind what is here; what has left the window is forgotten. */
  stream(points, everyS, windowFromS) {
    for (const line of this.lines.values()) cut(line, windowFromS, Infinity);
    for (const { labels, ts, value } of points) {
      const line = this.lines.get(keyOf(labels)) ?? this.#add(labels);
      if (ts <= line.ts.at(-1)) continue;
      // Stored samples lie further apart; as long as some are seen they are not taken for gaps.
      line.live ??= { fromS: ts, beforeS: cadenceS(line.ts, line.stepS) };
      line.stepS = line.ts[0] < line.live.fromS ? Math.max(everyS, line.live.beforeS) : everyS;
      line.ts.push(ts);
      for (const name of ["avg", "min", "max"]) line[name].push(value);
    }
    Object.assign(this, { stepS: everyS, resolution: "live" });
  }

  #merge({ series, stepS, resolution }, fromS) {
    this.stepS = stepS;
    this.resolution = resolution;
    for (const one of series) {
      const line = this.lines.get(keyOf(one.labels)) ?? this.#add(one.labels);
      const start = one.ts.findIndex((ts) => ts >= fromS);
      if (start < 0) continue;
      for (const name of ["ts", "avg", "min", "max"]) line[name] = line[name].concat(one[name].slice(start));
      line.stepS = stepS;
    }
  }

  /** Draw what is here into the given stretch of time. */
  draw(plotly, { fromS, toS, zone, colours }) {
    Object.assign(this, { fromS, toS });
    const lines = [...this.lines.values()];
    const { width } = this;
    const height = this.size?.height ?? this.plot.clientHeight;
    const x = timesOf(fromS, toS, width - MARGIN.l - MARGIN.r, zone);
    for (const line of lines) Object.assign(line, within(line, fromS, toS));
    const y = valueTicks(...extent(lines), this.unit);
    this.axes.draw({ width, height }, x, y);
    plotly.react(this.canvas, traces(lines, colours), layoutOf({ width, height }, x, y), CONFIG);
    this.plot.classList.add("drawn");
    this.element.classList.toggle("empty", lines.every((line) => line.last < line.first));
    this.showValues(null, zone);
    this.#tellSource(zone);
  }

  get width() {
    return this.size?.width ?? this.plot.clientWidth;
  }

  get canvas() {
    return this.plot.querySelector(".canvas");
  }

  /** Write the values at an instant into the legend, or the latest ones when there is none. */
  showValues(atS) {
    for (const line of this.lines.values()) {
      const i = atS !== null ? nearest(line, atS) : line.last < line.first ? -1 : line.last;
      line.value.textContent = number(i < 0 ? null : line.avg[i], this.unit);
    }
    this.#showSummary(atS);
  }

  /** With a single line there is room for its least, mean and most. */
  #showSummary(atS) {
    const summary = this.legend.querySelector(".summary");
    if (!summary) return;
    const line = [...this.lines.values()][0];
    const i = line && atS !== null ? nearest(line, atS) : null;
    const has = line && line.first <= line.last && i !== -1;
    const values = !has ? [null, null, null] : i === null ? whole(line) : [line.min[i], line.avg[i], line.max[i]];
    ["min", "avg", "max"].forEach((name, n) => (summary.querySelector(`[data-${name}]`).textContent = number(values[n], this.unit)));
  }

  #tellSource(zone) {
    const newest = Math.max(...[...this.lines.values()].map((line) => (line.first <= line.last ? line.ts[line.last] : -Infinity)));
    this.newestS = Math.max(this.newestS, newest);
    const step = this.stepS >= 1 ? duration(this.stepS) : `${this.stepS} s`;
    this.element.querySelector(".tier").textContent = this.resolution ? `${TIERS[this.resolution] ?? this.resolution} · ${step} steps` : "";
    tellAge(this.element.querySelector(".age"), Number.isFinite(newest) ? newest : null);
    this.element.querySelector(".newest").textContent = this.stepS > 10 ? "newest bucket began" : "newest sample";
    this.plot.setAttribute("aria-label", this.#describe(newest, zone));
  }

  #describe(newest, zone) {
    const title = `${this.metric}, graph of ${this.lines.size} ${this.lines.size === 1 ? "line" : "lines"}`;
    if (!Number.isFinite(newest)) return `${title}, no samples in this range`;
    const values = [...this.lines.values()].slice(0, 5).map((line) => `${line.name} ${number(line.avg[line.last], this.unit)}`.trim());
    return `${title}, latest at ${instant(newest, zone)}: ${values.join(", ")}`;
  }

  setBusy(isBusy) {
    this.element.classList.toggle("busy", isBusy);
    this.element.setAttribute("aria-busy", String(isBusy));
  }

  fail(detail) {
    this.element.querySelector(".failure").hidden = detail === null;
    if (detail !== null) this.element.querySelector(".failure p").textContent = detail;
  }

  #adopt(item, labels) {
    const isMain = item.classList.contains("main");
    const line = { labels, colour: isMain ? null : this.#colours++, name: item.dataset.name, item, value: item.querySelector(".value"), isMain, isHidden: false };
    this.lines.set(keyOf(labels), Object.assign(line, EMPTY()));
    return line;
  }

  /** A line that was not there when the page was made. */
  #add(labels) {
    const item = document.getElementById("line").content.firstElementChild.cloneNode(true);
    const name = Object.values(labels).join(" · ") || "total";
    item.dataset.name = name;
    item.classList.add(`c${this.#colours % 8}`, `dash${Math.floor(this.#colours / 8) % 3}`);
    item.querySelector(".name").textContent = name;
    this.legend.append(item);
    return this.#adopt(item, labels);
  }

  /** Click: only this line, or all again. With shift: this line on or off. */
  #pick(event) {
    const item = event.target.closest("button[data-line]");
    if (!item) return;
    const lines = [...this.lines.values()];
    const picked = lines.find((line) => line.item === item);
    const isAlone = lines.every((line) => line.isHidden === (line !== picked));
    for (const line of lines) {
      if (event.shiftKey) line.isHidden = line === picked ? !line.isHidden : line.isHidden;
      else line.isHidden = isAlone ? false : line !== picked;
      line.item.setAttribute("aria-pressed", String(!line.isHidden));
    }
    this.element.dispatchEvent(new CustomEvent("redraw", { bubbles: true, detail: this }));
  }
}

const EMPTY = () => ({ ts: [], avg: [], min: [], max: [], stepS: 1, first: 0, last: -1, live: undefined });
const keyOf = (labels) => JSON.stringify(Object.entries(labels).sort());

function div(name) {
  const element = document.createElement("div");
  element.className = name;
  element.hidden = true;
  return element;
}

function cut(line, fromS, toS) {
  const first = line.ts.findIndex((ts) => ts >= fromS);
  const end = line.ts.findIndex((ts) => ts >= toS);
  for (const name of ["ts", "avg", "min", "max"]) line[name] = first < 0 ? [] : line[name].slice(first, end < 0 ? undefined : end);
}

/** Index of the sample nearest to an instant; -1 when it lies in a gap. */
function nearest(line, atS) {
  let [low, high] = [0, line.ts.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (line.ts[middle] < atS) low = middle + 1;
    else high = middle;
  }
  if (high < 0) return -1;
  const i = low > 0 && atS - line.ts[low - 1] < line.ts[low] - atS ? low - 1 : low;
  return Math.abs(line.ts[i] - atS) <= 2.5 * cadenceS(line.ts, line.stepS) ? i : -1;
}

/** Which samples lie in the window: a line also has some beyond its edges, to be drawn up to them. */
function within(line, fromS, toS) {
  const first = line.ts.findIndex((ts) => ts >= fromS - line.stepS);
  const beyond = line.ts.findIndex((ts) => ts > toS);
  return { first: first < 0 ? line.ts.length : first, last: (beyond < 0 ? line.ts.length : beyond) - 1 };
}

function extent(lines) {
  let [least, most] = [Infinity, -Infinity];
  for (const { isHidden, min, max, first, last } of lines) {
    for (let i = first; i <= last && !isHidden; i += 1) {
      if (min[i] < least) least = min[i];
      if (max[i] > most) most = max[i];
    }
  }
  return least <= most ? [least, most] : [0, 1];
}

function whole(line) {
  const [min, avg, max] = ["min", "avg", "max"].map((name) => line[name].slice(line.first, line.last + 1));
  return [Math.min(...min), avg.reduce((sum, value) => sum + value, 0) / avg.length, Math.max(...max)];
}
