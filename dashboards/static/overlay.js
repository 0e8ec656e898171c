// What happened while graphs were drawn: how nodes stood, which conditions fired, why there is nothing to see.
// One request tells it for all graphs of a page; a step to the side needs no other.
import { gapsOf } from "./chart_gaps.js";
import { currentZone, onChange } from "./choices.js";
import { nowS } from "./clock.js";
import { bands, gradient } from "./history.js";
import { NOTHING, told, troubles, why, worst } from "./happened.js";
import { listEvents } from "./overlay_list.js";
import { duration } from "./format.js";
import { instant } from "./ticks.js";

const QUIET_MS = 250; // after the last graph's answer: then all of them are known
const AROUND = 0.5; // of the window is fetched on each side
const STALE_S = 30; // what reaches up to now is asked for again after so long
const NODES_MAX = 100;
const METRICS_MAX = 50;
const GAPS_TOLD = 2;

export class Overlay {
  #known = { ...NOTHING, wanted: { nodes: new Set(), metrics: new Set() }, askedS: 0 };
  #window = [0, 0];
  #timer = 0;
  #asking = null;

  /**
   * charts   () → the charts of the page
   * isBusy   () → whether a graph still waits for its lines
   * subject  (chart) → {nodes, metrics} that it is about
   * button   switches it on and off;  list  a <details> that tells all of it in words
   * onSwitch (isOn)
   */
  constructor({ charts, isBusy = () => false, subject, button, list, onSwitch }) {
    Object.assign(this, { charts, isBusy, subject, button, list });
    button.addEventListener("click", () => {
      this.isOn = !this.isOn;
      onSwitch(this.isOn);
    });
    onChange("zone", () => this.#list());
  }

  get isOn() {
    return this.button.getAttribute("aria-pressed") === "true";
  }

  set isOn(isOn) {
    this.button.setAttribute("aria-pressed", String(isOn));
    this.show(...this.#window);
  }

  /** Lay over the graphs what is known of a window, and ask for the rest once they have come to rest. */
  show(fromS, toS) {
    this.#window = [fromS, toS];
    this.#paint();
    this.#wait();
  }

  /** A graph has got its lines: what is known lies over it, and what is not is asked for with that of the others. */
  answered(chart) {
    chart.lay(this.isOn ? this.#over(chart) : null);
    this.#wait();
  }

  /** What happened at an instant, in lines of words; [] when there is nothing to say. */
  toldAt(chart, atS) {
    if (!this.isOn) return [];
    const [fromS, toS] = this.#window;
    return told(this.#known, this.subject(chart), atS, (toS - fromS) / 200);
  }

  #wait() {
    const [fromS, toS] = this.#window;
    clearTimeout(this.#timer);
    if (this.isOn && toS > fromS) this.#timer = setTimeout(() => (this.isBusy() ? this.#wait() : this.#ask()), QUIET_MS);
  }

  async #ask() {
    const wanted = this.#wanted();
    if (this.#covers(wanted)) return this.#list();
    this.#asking?.abort();
    const asking = (this.#asking = new AbortController());
    const [fromS, toS] = this.#window;
    const beyond = (toS - fromS) * AROUND;
    const question = { nodes: [...wanted.nodes], metrics: [...wanted.metrics], from: fromS - beyond, to: toS + beyond };
    try {
      const headers = { "content-type": "application/json", accept: "application/json" };
      const answer = await fetch("/api/v1/overlay", { method: "POST", headers, body: JSON.stringify(question), signal: asking.signal });
      if (!answer.ok) return;
      this.#known = { ...(await answer.json()), wanted, askedS: nowS() };
      this.#paint();
    } catch {
      // superseded, or the server is away: what is known stays
    }
  }

  #wanted() {
    const subjects = this.charts().map((chart) => this.subject(chart));
    const set = (name, most) => new Set(subjects.flatMap((one) => one[name]).slice(0, 50 * most));
    return { nodes: first(set("nodes", NODES_MAX), NODES_MAX), metrics: first(set("metrics", METRICS_MAX), METRICS_MAX) };
  }

  #covers({ nodes, metrics }) {
    const { from_s, to_s, wanted, askedS } = this.#known;
    const [fromS, toS] = this.#window;
    const isWithin = from_s <= fromS && toS <= to_s && (toS < askedS - 1 || nowS() - askedS < STALE_S);
    return isWithin && [...nodes].every((one) => wanted.nodes.has(one)) && [...metrics].every((one) => wanted.metrics.has(one));
  }

  #paint() {
    for (const chart of this.charts()) chart.lay(this.isOn ? this.#over(chart) : null);
    this.#list();
  }

  /** What lies over one chart: bands where it is of one node, a lane above it where it is of several. */
  #over(chart) {
    const [fromS, toS] = this.#window;
    const subject = this.subject(chart);
    const { nodes, conditions } = troubles(this.#known, subject);
    const stripes = (periods, fill) => gradient(bands(worst(periods, fromS, toS), fromS, toS), fill);
    const isAlone = subject.nodes.length === 1;
    return {
      bands: isAlone ? stripes(nodes, "band") : "none",
      nodes: isAlone ? "none" : stripes(nodes, "lane"),
      conditions: stripes(conditions, "lane"),
      gaps: this.#gaps(chart),
    };
  }

  #gaps(chart) {
    const found = new Map();
    for (const { node, fromS, toS } of gapsOf(chart.lines, this.#window[1])) {
      const reason = why(this.#known, node ? [node] : this.subject(chart).nodes, fromS, toS);
      if (!reason) continue;
      const words = `${instant(fromS, currentZone())} to ${toS >= this.#window[1] ? "the end" : instant(toS, currentZone())} (${duration(toS - fromS)}): ${reason}`;
      found.set(words, Math.max(found.get(words) ?? 0, toS - fromS));
    }
    const longest = [...found].sort(([, a], [, b]) => b - a).map(([words]) => words);
    const more = longest.length - GAPS_TOLD;
    return [...longest.slice(0, GAPS_TOLD), ...(more > 0 ? [`and ${more} more`] : [])].join(" · ");
  }

  #list() {
    const [fromS, toS] = this.#window;
    const wanted = this.#wanted();
    listEvents(this.list, this.isOn ? this.#known : NOTHING, { nodes: [...wanted.nodes], metrics: [...wanted.metrics] }, fromS, toS);
    this.list.hidden = !this.isOn || !(wanted.nodes.size + wanted.metrics.size); // about nothing, nothing happened
  }
}

/** The nodes and metrics that a graph is about: of its lines, and those that its matchers name. */
export function subjectOf(lines, queries) {
  const named = queries.flatMap(({ match }) => match).flatMap((text) => /^\s*node\s*=\s*([^~].*?)\s*$/s.exec(text)?.[1].replace(/^"(.*)"$/s, "$1") ?? []);
  const seen = lines.map((line) => line.labels.node).filter(Boolean);
  return { nodes: [...new Set([...seen, ...named])], metrics: [...new Set(queries.map(({ metric }) => metric))] };
}

const first = (set, most) => new Set([...set].slice(0, most));
