// A node's past: its states shaded under every graph, its history below them, what is odd about it above.
import { currentZone, onChange, read, write } from "./choices.js";
import { nowS } from "./clock.js";
import { duration } from "./format.js";
import { WORSE, standingOf, worst } from "./happened.js";
import { instant } from "./ticks.js";

const CLOSEST = 0.001; // of the window: bands nearer to each other than this are one
const AROUND = 0.5; // of the window is fetched on each side, so that a step to the side shows its bands at once
const TICK_MS = 5000;
const STALE_S = 30; // what reaches up to now is asked for again after so long

/** The states under the graphs: one gradient that all of them share, so that forty cost as much as one. */
export class Past {
  #name;
  #address;
  #root;
  #known = { fromS: 0, toS: -1, periods: [] };
  #window = [0, 0];
  #asking = null;
  #toldS = 0; // when the server was asked last
  #conditions = []; // periods in which one was not ok

  constructor(name, root) {
    this.#name = name;
    this.#address = `/api/v1/nodes/${encodeURI(name)}/events`;
    this.#root = root;
    const button = document.querySelector("[data-bands]");
    this.#switch(button, read("bands") !== "off");
    button.addEventListener("click", () => this.#switch(button, button.getAttribute("aria-pressed") !== "true"));
  }

  /** Shade what is known of a window, and ask for the rest. */
  show(fromS, toS) {
    this.#window = [fromS, toS];
    this.#paint();
    if (fromS < this.#known.fromS || Math.min(toS, nowS()) > this.#reachesS()) this.refresh();
    else if (toS > this.#toldS && nowS() - this.#toldS > STALE_S) this.refresh(); // conditions come and go meanwhile
  }

  /** Ask anew: something has happened. */
  async refresh() {
    this.#asking?.abort();
    const asking = (this.#asking = new AbortController());
    this.#toldS = nowS(); // also when nothing comes back: it is tried again as late as that
    const [fromS, toS] = this.#window;
    const beyond = (toS - fromS) * AROUND;
    const query = new URLSearchParams({ from: Math.floor(fromS - beyond), to: Math.ceil(toS + beyond) });
    try {
      const answer = await fetch(`${this.#address}?${query}`, { signal: asking.signal, headers: { accept: "application/json" } });
      if (!answer.ok) return;
      const { from_s, to_s, periods } = await answer.json();
      this.#known = { fromS: from_s, toS: to_s, periods };
      this.#paint();
      await this.#askConditions(query, asking.signal);
    } catch {
      // superseded, or the server is away: what is known stays
    }
  }

  /** How the node stood at an instant; "" when it was online or nobody knows. */
  standingAt(atS) {
    const found = this.#periods().find(({ from_s, to_s }) => from_s <= atS && atS < to_s);
    return !found || found.standing === "online" ? "" : found.standing;
  }

  async #askConditions(query, signal) {
    query.set("node", this.#name);
    const answer = await fetch(`/conditions/overlay.json?${query}`, { signal, headers: { accept: "application/json" } });
    if (!answer.ok) return;
    this.#conditions = (await answer.json()).periods.map((one) => ({ ...one, standing: standingOf(one) }));
    this.paintConditions();
  }

  /** In the lane above each graph, what conditions on its metric said. */
  paintConditions() {
    const [fromS, toS] = this.#window;
    for (const panel of this.#root.querySelectorAll(".panel")) {
      const found = bands(worst(this.#of(panel.dataset.metric), fromS, toS), fromS, toS);
      panel.querySelector(".plot").style.setProperty("--lane-of-conditions", gradient(found, "lane"));
    }
  }

  /** What conditions on a metric said at an instant, in lines of words. */
  toldAt(metric, atS) {
    return this.#of(metric).filter(({ from_s, to_s }) => from_s <= atS && atS < to_s).map(({ condition, state }) => `${condition}: ${state}`);
  }

  #of(metric) {
    return this.#conditions.filter(({ metrics }) => metrics.includes(metric));
  }

  /** Until when `known` holds: what was still so when it was asked is taken to last until the server tells of a change. */
  #reachesS() {
    return this.#isOpen() ? Infinity : this.#known.toS;
  }

  #isOpen() {
    const last = this.#known.periods.at(-1);
    return last !== undefined && last.to_s < this.#known.toS;
  }

  #periods() {
    const { periods } = this.#known;
    return this.#isOpen() ? [...periods.slice(0, -1), { ...periods.at(-1), to_s: Math.max(nowS(), periods.at(-1).to_s) }] : periods;
  }

  #paint() {
    const inside = within(this.#periods(), ...this.#window);
    this.#root.style.setProperty("--bands", gradient(bands(inside, ...this.#window)));
    if (this.#conditions.length) this.paintConditions();
    const share = onlineShare(inside);
    const element = document.getElementById("share");
    element.hidden = share === null;
    if (share !== null) element.querySelector("b").textContent = percent(share);
  }

  #switch(button, isOn) {
    button.setAttribute("aria-pressed", String(isOn));
    this.#root.classList.toggle("plain", !isOn);
    write("bands", isOn ? null : "off");
  }
}

/** Periods cut to a window. */
export function within(periods, fromS, toS) {
  return periods
    .map((one) => ({ ...one, from_s: Math.max(one.from_s, fromS), to_s: Math.min(one.to_s, toS) }))
    .filter(({ from_s, to_s }) => from_s < to_s);
}

/** What is shaded: [{standing, from, to}] in shares of the window; bands that no eye could part are one, of the worse. */
export function bands(periods, fromS, toS) {
  const found = [];
  for (const { standing, from_s, to_s } of periods) {
    if (standing === "online") continue;
    const [from, to] = [(from_s - fromS) / (toS - fromS), (to_s - fromS) / (toS - fromS)];
    const last = found.at(-1);
    const isThin = last && to - last.from < 2 * CLOSEST;
    if (last && from - last.to < CLOSEST && (last.standing === standing || isThin)) {
      last.to = to;
      last.standing = WORSE[Math.max(WORSE.indexOf(last.standing), WORSE.indexOf(standing))];
    } else found.push({ standing, from, to });
  }
  return found;
}

/** A CSS gradient of bands, each at least 2 px wide and with a line where it begins; `fill` names their colours. */
export function gradient(found, fill = "band") {
  if (!found.length) return "none";
  const at = (share) => `${(share * 100).toFixed(3)}%`;
  const stops = found.flatMap(({ standing, from, to }) => [
    `transparent ${at(from)}`,
    `var(--edge-${standing}) ${at(from)} calc(${at(from)} + 1px)`,
    `var(--${fill}-${standing}) calc(${at(from)} + 1px) max(${at(to)}, calc(${at(from)} + 2px))`,
    `transparent max(${at(to)}, calc(${at(from)} + 2px))`,
  ]);
  return `linear-gradient(to right, ${stops.join(", ")})`;
}

export function onlineShare(periods) {
  const lengthOf = (some) => some.reduce((sum, { from_s, to_s }) => sum + to_s - from_s, 0);
  const whole = lengthOf(periods);
  return whole ? lengthOf(periods.filter(({ standing }) => standing === "online")) / whole : null;
}

/** Never rounded up to what it is not: only all of it is 100%. */
export function percent(share) {
  return `${Math.floor(share * 10000) / 100}%`;
}

/** Keep the parts of the page that the server words current: notices above, history below. */
export function tellPast() {
  const events = document.getElementById("events");
  let isLong = false;
  events.addEventListener("click", async (event) => {
    const older = event.target.closest("[data-older]");
    if (!older || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const more = await part("history", new URL(older.href).searchParams.get("older_than"));
    if (!more) return;
    isLong = true;
    events.querySelector(".events").append(...more.querySelectorAll(".events > li"));
    const next = more.querySelector("[data-older]");
    if (next) older.href = next.href;
    else older.remove();
    localise(events);
  });
  onChange("zone", () => localise(document));
  setInterval(() => document.hidden || tick(), TICK_MS);
  localise(document);
  return async () => {
    const [notices, history] = await Promise.all([part("notices"), isLong ? null : part("history")]);
    if (notices) document.getElementById("notices").replaceChildren(...notices.body.childNodes);
    if (history) events.replaceChildren(...history.body.childNodes);
    localise(document);
  };
}

async function part(name, olderThan) {
  const query = new URLSearchParams({ part: name });
  if (olderThan) query.set("older_than", olderThan);
  try {
    const answer = await fetch(`${location.pathname}?${query}`, { headers: { accept: "text/html" } });
    return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
  } catch {
    return null; // the server is away; what is here stays
  }
}

function localise(root) {
  for (const time of root.querySelectorAll("time[data-at]")) time.textContent = instant(Number(time.dataset.at), currentZone());
}

function tick() {
  for (const element of document.querySelectorAll("[data-since]")) element.textContent = duration(nowS() - Number(element.dataset.since));
}
