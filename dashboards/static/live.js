// A live view: one stream of server-sent events for all graphs of a page that are looked at live.
import { learn, nowS } from "./clock.js";

const POINTS_KEPT = 20000; // while paused; then the oldest go
const SWITCH_MS = 400; // graphs that scroll by together become one request

export class LiveView {
  #node;
  #onPoints;
  #onStage;
  #source = null;
  #next = null; // opens while the old one still runs, so that nothing is missed
  #timer = 0;
  #kept = [];

  /**
   * onPoints  called with [{metric, labels, ts (Unix s, the agent's clock), value}], oldest first
   * onStage   called with {stage, expected, dropped, away, missing}; stage is null when nothing is looked at
   */
  constructor(node, { onPoints, onStage }) {
    this.#node = node;
    this.#onPoints = onPoints;
    this.#onStage = onStage;
    this.metrics = new Set();
    this.everyMs = 1000;
    this.isPaused = false;
    this.standing = { stage: null };
    document.addEventListener("visibilitychange", () => this.#connect());
    addEventListener("pagehide", () => this.#disconnect());
  }

  get isOn() {
    return this.metrics.size > 0;
  }

  /** Look at these metrics from now on; none ends the live view. */
  watch(metrics, everyMs = this.everyMs) {
    const wanted = new Set(metrics);
    const isSame = wanted.size === this.metrics.size && [...wanted].every((name) => this.metrics.has(name));
    if (isSame && everyMs === this.everyMs) return;
    const isFirst = !this.isOn;
    this.metrics = wanted;
    this.everyMs = everyMs;
    clearTimeout(this.#timer);
    if (!this.isOn) this.stop();
    else if (isFirst) this.#connect();
    else this.#timer = setTimeout(() => this.#connect(), SWITCH_MS);
  }

  stop() {
    this.metrics = new Set();
    this.isPaused = false;
    this.#kept = [];
    this.#disconnect();
    this.#tell({ stage: null });
  }

  /** Freeze what is seen; the stream goes on, so that nothing is missed. */
  pause(isPaused) {
    this.isPaused = isPaused;
    const kept = this.#kept;
    this.#kept = [];
    if (!isPaused && kept.length) this.#onPoints(kept);
    this.#tell({});
  }

  #connect() {
    clearTimeout(this.#timer);
    if (document.hidden || !this.isOn) return this.#disconnect(); // nobody looks at a hidden page
    this.#next?.close();
    const query = new URLSearchParams([...this.metrics].map((name) => ["metric", name]));
    query.set("node", this.#node);
    query.set("every_ms", this.everyMs);
    const source = new EventSource(`/live/stream?${query}`);
    this.#next = source;
    if (!this.#source) this.#tell({ stage: "asked" });
    source.addEventListener("stage", (event) => this.#isCurrent(source) && this.#standing(JSON.parse(event.data)));
    source.addEventListener("points", (event) => this.#isCurrent(source) && this.#take(JSON.parse(event.data)));
    source.addEventListener("error", () => this.#failed(source));
  }

  /** The newer stream takes over with its first word. */
  #isCurrent(source) {
    if (source === this.#next) {
      this.#source?.close();
      this.#source = source;
      this.#next = null;
    }
    return source === this.#source;
  }

  #failed(source) {
    if (source !== this.#source && source !== this.#next) return;
    this.#tell({ stage: "lost" });
    if (source.readyState !== EventSource.CLOSED) return; // it tries again by itself
    this.#timer = setTimeout(() => this.#connect(), 3000); // the server said no: it may say so for a while
  }

  #disconnect() {
    for (const source of [this.#source, this.#next]) source?.close();
    this.#source = this.#next = null;
  }

  #standing(message) {
    learn(message.now);
    this.#tell(message);
  }

  #take({ at, snapshots }) {
    const points = snapshots.flatMap(({ ts, metrics }) => Object.entries(metrics).map(([key, value]) => ({ ...split(key), ts, value })));
    this.behindS = Math.max(0, nowS() - at);
    if (!this.isPaused) return this.#onPoints(points);
    this.#kept = this.#kept.concat(points).slice(-POINTS_KEPT);
    this.#tell({});
  }

  #tell(news) {
    this.standing = { ...this.standing, ...news, keptPoints: this.#kept.length };
    this.#onStage(this.standing);
  }
}

const LABEL = /([^=,]+)="((?:[^"\\]|\\.)*)"/g;
const PLAIN = { "\\n": "\n", '\\"': '"', "\\\\": "\\" };

/** `disk.used{device="sda1"}` → {metric, labels}. */
export function split(key) {
  const brace = key.indexOf("{");
  if (brace < 0) return { metric: key, labels: {} };
  const labels = {};
  for (const [, name, value] of key.slice(brace + 1, -1).matchAll(LABEL)) labels[name] = value.replace(/\\[\\"n]/g, (text) => PLAIN[text]);
  return { metric: key.slice(0, brace), labels };
}

/** Where a live view stands, in words for a person. */
export function words({ stage, expected, dropped, away, keptPoints, missing }, { node, isPaused, everyMs, behindS }) {
  if (away) return "The server has lost its live path just now; it goes on by itself";
  if (isPaused) return `Paused; ${keptPoints} points wait`;
  const every = everyMs >= 1000 ? `${everyMs / 1000} s` : `${everyMs} ms`;
  const wait = expected ? Math.ceil(expected - nowS()) : 0;
  const lacks = missing?.length ? `; ${missing.length === 1 ? "one graph shows" : `${missing.length} graphs show`} what its agent does not measure itself` : "";
  switch (stage) {
    case "asked":
      return `Asking ${node}`;
    case "waiting":
      return wait > 0 ? `Waiting for ${node} to check in, at most ${wait} s` : `Waiting for ${node}: it should have checked in by now`;
    case "live":
      return `Live, a point every ${every}${behindS > 2 ? `, ${behindS.toFixed(1)} s behind` : ""}${dropped ? `; this browser was too slow for ${dropped}` : ""}${lacks}`;
    case "stalled":
      return `Stalled: ${node} has stopped sending; it goes on by itself when it can`;
    case "missing":
      return `${node} is live, but its agent does not measure this itself: these values come with its snapshots`;
    case "offline":
      return `${node} is offline; the live view begins when it is back`;
    case "lost":
      return "The server cannot be reached; trying again";
    default:
      return "";
  }
}
