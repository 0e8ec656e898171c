// One graph of the query model (domain/query.py): it asks, draws, tells what failed, and keeps to its element's size.
//
//   const chart = new Chart(element, { graph, fromS, toS, … });
//
//   element     an empty block; the chart makes what is inside, and fills it if it has a height
//   graph       {queries, formulas, shift, kind, log, unit, thresholds} as POST /api/v1/query takes it
//   fromS, toS  the window, Unix seconds
//   ask         (question, signal) → promise of the answer; POST /api/v1/query when left out.
//               question is {from, to, points, graph}; reject with a Problem (loader.js) to say what is wrong
//   legend      "list" of names and values (when left out), "table" with least, mean and most too, "none"
//   tellsGaps   whether what is known of gaps stands below the graph; else only its label says it
//   onAnswer    (chart) when an answer was drawn
//
//   chart.show({graph, fromS, toS})  any of them: draws what is here for it, asks, draws; the promise of that
//   chart.refresh(fromS, toS)        the same without a sign of being busy, for a window that moves on
//   chart.redraw(), chart.recolour() when the zone, or the theme, has changed
//   chart.lay(over)                  what happened meanwhile, over the lines: {bands, nodes, conditions} as CSS, gaps in words
//   chart.stop()                     drop the request under way;  chart.destroy() when the element goes
//   chart.answer, chart.graph        what is shown; answer is null before the first
//
// To linkCursors (cursor.js) a chart is a panel: plot, width, fromS, toS, loaded, showValues(atS). The page loads
// plotly.min.js as #plotly, node.css and chart.css; many charts share one Plotly.
import { Axes, layoutOf, MARGIN, timesOf } from "./axes.js";
import { currentZone } from "./choices.js";
import { tellAge } from "./clock.js";
import { coloursOf, logTicks, shapesOf, valuesOf } from "./chart_axes.js";
import { linesOf, nearest, percentileNotes } from "./chart_lines.js";
import { PLOTS } from "./chart_plots.js";
import { stats } from "./chart_stats.js";
import { LineTable } from "./chart_table.js";
import { furnish, text } from "./chart_parts.js";
import { duration, number } from "./format.js";
import { askQuery } from "./query.js";
import { instant, valueTicks } from "./ticks.js";

const TIERS = { raw: "raw samples", "1m": "1 min rollup", "1h": "1 h rollup" };
const CONFIG = { staticPlot: true, displayModeBar: false, displaylogo: false, responsive: false };
const SMALL_PERCENT = 25; // a graph of so little percent would be flat on a scale to 100
const STRETCH_AFTER_MS = 400; // to draw a graph twice takes longer than most answers do
const LISTED_MAX = 60; // names in a list under a graph; a table has them all

export class Chart {
  constructor(element, { graph, fromS, toS, ask = askQuery, legend = "list", tellsGaps = false, onAnswer = () => {} }) {
    Object.assign(this, { element, graph, fromS, toS, answer: null, lines: [], loaded: null, size: null });
    this.options = { ask, legend, tellsGaps, onAnswer };
    this.hidden = new Set(); // keys of lines that were clicked away
    this.asking = null;
    this.#build();
    this.sizes = new ResizeObserver(([{ contentRect }]) => this.#resize(contentRect));
    this.sizes.observe(this.plot);
    document.getElementById("plotly")?.addEventListener("load", () => this.redraw());
  }

  /** Ask for another graph or window; what is here is drawn for it at once where it can be. */
  show({ graph = this.graph, fromS = this.fromS, toS = this.toS } = {}) {
    const isSame = (part) => JSON.stringify(part(graph)) === JSON.stringify(part(this.graph));
    const [hasSameLook, hasSameQueries] = [isSame((one) => one), isSame((one) => one.queries)];
    Object.assign(this, { graph, fromS, toS });
    this.element.dataset.kind = graph.kind;
    clearTimeout(this.stretch);
    // What is here is drawn at once in another way; stretched to another window only where the answer takes its time.
    if (hasSameLook) this.stretch = setTimeout(() => this.redraw(), STRETCH_AFTER_MS);
    else if (hasSameQueries) this.redraw();
    return this.#ask(true);
  }

  refresh(fromS, toS) {
    Object.assign(this, { fromS, toS });
    return this.#ask(false);
  }

  async #ask(isBusy) {
    this.stop();
    if (!this.graph.queries.length) return this.#clear();
    const asking = (this.asking = new AbortController());
    this.#setBusy(isBusy);
    try {
      const question = { from: this.fromS, to: this.toS, points: this.points, graph: this.graph };
      this.#take(await this.options.ask(question, asking.signal));
    } catch (error) {
      if (error.name !== "AbortError" && this.asking === asking) this.fail(error.message);
    } finally {
      if (this.asking === asking) this.#setBusy(false);
    }
  }

  stop() {
    this.asking?.abort();
    this.asking = null;
  }

  destroy() {
    this.stop();
    clearTimeout(this.stretch);
    this.sizes.disconnect();
    if (globalThis.Plotly) globalThis.Plotly.purge(this.canvas);
    this.element.replaceChildren();
  }

  /** As many buckets as the graph has pixels, in hundreds so that graphs of almost one size share answers. */
  get points() {
    if (["table", "stat"].includes(this.graph.kind)) return 100;
    const inner = this.width - MARGIN.l - MARGIN.r;
    return Math.min(Math.max(Math.round(inner / (this.graph.kind === "heatmap" ? 300 : 100)) * 100, 100), 2000);
  }

  get width() {
    return this.size?.width ?? this.plot.clientWidth;
  }

  #take(answer) {
    clearTimeout(this.stretch);
    this.answer = this.loaded = answer;
    this.lines = linesOf(answer);
    for (const line of this.lines) line.isHidden = this.hidden.has(line.key);
    this.fail(null);
    this.redraw();
    this.options.onAnswer(this);
  }

  #clear() {
    clearTimeout(this.stretch);
    this.answer = this.loaded = null;
    this.lines = [];
    this.fail(null);
    this.#setBusy(false);
    if (globalThis.Plotly) globalThis.Plotly.purge(this.canvas);
    this.axes.clear();
    this.plot.classList.remove("drawn");
    this.legend.replaceChildren();
    for (const name of ["notes", "tier"]) this[name].textContent = "";
    this.newest.hidden = true;
  }

  redraw() {
    if (!this.answer) return;
    const kind = this.graph.kind;
    const draw = { table: () => this.#list(), stat: () => this.#stat() }[kind] ?? (() => this.#plot(PLOTS[kind] ?? PLOTS.lines));
    this.plot.hidden = kind === "table" || kind === "stat";
    draw();
    this.element.classList.toggle("empty", !this.lines.some((line) => line.ts.length));
    this.#tell();
  }

  recolour() {
    this.colours = null;
    this.redraw();
  }

  #plot(plot) {
    if (!globalThis.Plotly || !this.width) return;
    this.colours ??= coloursOf(this.element.querySelector(".probe"));
    const { width } = this;
    const height = this.size?.height ?? this.plot.clientHeight;
    const isLog = this.graph.log && plot.hasValues;
    const drawn = plot.draw(this.lines, { ...this, answer: this.answer, isLog, height });
    const extent = valuesOf(drawn.extent, this.graph.thresholds, isLog);
    const y = drawn.rows ?? (isLog ? logTicks(...extent, this.answer.unit) : valueTicks(...extent, this.answer.unit, extent[1] > SMALL_PERCENT));
    const x = timesOf(this.fromS, this.toS, width - MARGIN.l - MARGIN.r, currentZone());
    const shapes = plot.hasValues ? shapesOf(this.graph.thresholds, isLog, this.colours) : [];
    const layout = layoutOf({ width, height }, x, { ...y, isLog }, shapes);
    this.axes.draw({ width, height }, x, { ...y, isLog });
    globalThis.Plotly.react(this.canvas, drawn.traces, layout, CONFIG);
    this.plot.classList.add("drawn");
    this.#drawLegend(plot);
  }

  #drawLegend(plot) {
    if (this.options.legend === "none") return this.legend.replaceChildren();
    if (this.options.legend === "table" && plot.hasValues) return this.#list();
    this.table = null;
    if (!plot.hasValues) return this.legend.replaceChildren(...plot.legend(this.lines, this.answer.unit));
    const items = this.lines.slice(0, LISTED_MAX).map((line) => this.#item(line));
    const rest = this.lines.length - items.length;
    this.legend.replaceChildren(...items, ...(rest > 0 ? [text("span", "alone", `and ${rest} more`)] : []));
    this.showValues(null);
  }

  #item(line) {
    const item = document.createElement("button");
    item.type = "button";
    item.className = line.css;
    item.setAttribute("aria-pressed", String(!line.isHidden));
    item.append(text("i", "swatch", ""), text("span", "name", line.name), (line.cell = text("span", "value", "")));
    item.addEventListener("click", (event) => this.pick(line, event.shiftKey));
    return item;
  }

  #list() {
    if (!this.table?.element.isConnected) {
      this.table = new LineTable(this);
      this.legend.replaceChildren(this.table.element);
    }
    this.table.show(this.lines, this.answer.unit);
  }

  #stat() {
    this.table = null;
    this.legend.tabIndex = 0; // it may scroll, and holds nothing to go to by keyboard
    this.legend.replaceChildren(...stats(this.lines, this.answer, this.graph.thresholds));
  }

  /** Only this line, or all again; with `isOne`, this line on or off. */
  pick(picked, isOne = false) {
    const isAlone = this.lines.every((line) => line.isHidden === (line !== picked));
    for (const line of this.lines) {
      if (isOne) line.isHidden = line === picked ? !line.isHidden : line.isHidden;
      else line.isHidden = isAlone ? false : line !== picked;
    }
    this.hidden = new Set(this.lines.filter((line) => line.isHidden).map((line) => line.key));
    const index = this.lines.indexOf(picked);
    this.redraw();
    this.legend.querySelectorAll("[aria-pressed]")[this.table ? this.table.place(picked) : index]?.focus();
  }

  /** Write the values at an instant into the legend, or the latest ones when there is none. */
  showValues(atS) {
    for (const line of this.lines) {
      if (!line.cell) continue;
      const i = atS === null ? line.ts.length - 1 : nearest(line, atS);
      line.cell.textContent = number(i < 0 ? null : line.avg[i], this.answer.unit);
    }
  }

  /** What a plot without a value axis has where the pointer is. */
  #point({ clientX, clientY }) {
    const here = this.legend.querySelector(".heat-here");
    if (!here || !this.answer) return;
    const box = this.plot.getBoundingClientRect();
    const [x, y] = [(clientX - box.left - MARGIN.l) / (box.width - MARGIN.l - MARGIN.r), (clientY - box.top - MARGIN.t) / (box.height - MARGIN.t - MARGIN.b)];
    const isInside = x >= 0 && x <= 1 && y >= 0 && y < 1;
    here.textContent = isInside ? PLOTS.heatmap.point(this.lines, this.answer, this.fromS + x * (this.toS - this.fromS), y) : "";
  }

  #tell() {
    const { answer } = this;
    const newest = this.#newestS;
    const rows = `${answer.rows_read.toLocaleString("en")} rows in ${Math.round(answer.took_ms)} ms`;
    this.tier.textContent = `${TIERS[answer.resolution]} · ${duration(answer.step_s)} steps · ${rows}`;
    this.newest.hidden = !Number.isFinite(newest);
    tellAge(this.newest.querySelector(".age"), Number.isFinite(newest) ? newest : null);
    const cut = Object.entries(answer.queries).filter(([, { shown, count }]) => shown < count);
    const largest = cut.map(([id, { shown, count }]) => `${id}: the ${shown.toLocaleString("en")} largest of ${count.toLocaleString("en")} lines`);
    const notes = [...largest, ...percentileNotes(this.graph.queries)];
    this.notes.textContent = notes.join(" · ");
    this.notes.hidden = !notes.length;
    this.plot.setAttribute("aria-label", this.#describe());
  }

  get #newestS() {
    return Math.max(...this.lines.filter((line) => !line.shift && line.ts.length).map((line) => line.ts.at(-1)));
  }

  #describe() {
    const newest = this.#newestS;
    const metrics = [...new Set(this.graph.queries.filter((query) => !query.hidden).map((query) => query.metric))].join(", ");
    const title = `${metrics || "formula"}, ${this.graph.kind} of ${this.lines.length} ${this.lines.length === 1 ? "line" : "lines"}`;
    if (!Number.isFinite(newest)) return `${title}, no samples in this range`;
    const values = this.lines.slice(0, 5).map((line) => `${line.name} ${number(line.avg.at(-1), this.answer.unit)}`);
    return `${title}, latest at ${instant(newest, currentZone())}: ${values.join(", ")}${this.why ? `. ${this.why}` : ""}`;
  }

  lay(over) {
    const given = JSON.stringify(over);
    if (given === this.laid) return;
    this.laid = given;
    for (const name of ["bands", "nodes", "conditions"]) this.plot.style.setProperty(name === "bands" ? "--bands" : `--lane-of-${name}`, over?.[name] ?? "none");
    this.why = over?.gaps ? `No samples from ${over.gaps}` : "";
    this.gaps.textContent = this.why;
    this.gaps.hidden = !this.why || !this.options.tellsGaps;
    if (this.answer) this.plot.setAttribute("aria-label", this.#describe());
  }

  #setBusy(isBusy) {
    this.element.classList.toggle("busy", isBusy);
    this.element.setAttribute("aria-busy", String(isBusy));
  }

  /** Say what is wrong in place of the graph; null when nothing is. */
  fail(detail) {
    this.failure.hidden = detail === null;
    if (detail !== null) this.failure.querySelector("p").textContent = detail;
  }

  #resize({ width, height }) {
    const isSame = this.size && this.size.width === width && this.size.height === height;
    this.size = width ? { width, height } : null;
    if (!isSame) requestAnimationFrame(() => this.redraw());
  }

  #build() {
    this.element.classList.add("chart");
    this.element.dataset.kind = this.graph.kind;
    Object.assign(this, furnish(this.element, () => this.show()));
    this.axes = new Axes(this.plot);
    this.plot.addEventListener("pointermove", (event) => this.#point(event));
  }
}
