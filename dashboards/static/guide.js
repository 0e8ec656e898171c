// The guide: ways to install as tabs, and live underneath what arrives at the door.
import { tellAge } from "./clock.js";

const SHOWN = 50;
const SILENCE_MS = 30000; // the server says something every 10 s
const POLL_MS = 5000;
const SAY_EVERY_MS = 3000;

const guide = document.getElementById("guide");
const list = document.getElementById("door");
const state = document.getElementById("door-state");
const link = { source: null, quiet: 0, poll: 0, after: "", account: null, isSeen: false };
const startedS = Date.now() / 1000 - 5;
let saidAt = 0;

for (const root of guide.querySelectorAll("[data-tabs]")) makeTabs(root);

/** Show one of several sections at a time; without this script they stand one below the other. */
function makeTabs(root) {
  const panels = [...root.querySelectorAll("[data-tab]")];
  const bar = document.createElement("div");
  bar.className = "segments";
  bar.setAttribute("role", "tablist");
  bar.setAttribute("aria-label", root.dataset.tabs);
  const tabs = panels.map((panel) => makeTab(panel));
  bar.append(...tabs);
  root.prepend(bar);
  const choose = (at, hasFocus) => {
    tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", String(i === at));
      tab.tabIndex = i === at ? 0 : -1;
      panels[i].hidden = i !== at;
    });
    if (hasFocus) tabs[at].focus();
  };
  bar.addEventListener("click", (event) => {
    const at = tabs.indexOf(event.target.closest("[role=tab]"));
    if (at >= 0) choose(at, true);
  });
  bar.addEventListener("keydown", (event) => {
    const at = tabs.indexOf(document.activeElement);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (next === undefined || at < 0) return;
    event.preventDefault();
    choose((next + tabs.length) % tabs.length, true);
  });
  choose(Math.max(0, panels.findIndex((panel) => `#${panel.id}` === location.hash)), false);
}

function makeTab(panel) {
  const tab = document.createElement("button");
  tab.type = "button";
  tab.id = `${panel.id}-tab`;
  tab.textContent = panel.dataset.tab;
  tab.setAttribute("role", "tab");
  tab.setAttribute("aria-controls", panel.id);
  panel.setAttribute("role", "tabpanel");
  panel.setAttribute("aria-labelledby", tab.id);
  panel.querySelector("h3").hidden = true;
  return tab;
}

function take(message) {
  if (message.account !== (link.account ??= message.account)) return location.reload(); // switched in another tab
  const isFirst = link.after === "";
  link.after = message.after;
  for (const entry of message.entries) {
    if (!repeats(entry)) list.prepend(draw(entry));
    if (entry.outcome === "accepted" && entry.node && entry.at > startedS) offer(entry.node);
  }
  while (list.children.length > SHOWN) list.lastElementChild.remove();
  document.getElementById("door-waiting").hidden = list.children.length > 0;
  if (!isFirst && message.entries.length) say(message.entries.at(-1));
}

/** An attempt just like the one on top only counts that up: an agent that tries again and again stays one line. */
function repeats(entry) {
  const top = list.firstElementChild;
  if (!top || entry.more || top.dataset.like !== likeness(entry)) return false;
  top.dataset.times = Number(top.dataset.times ?? 1) + 1;
  top.querySelector(".times").textContent = `×${top.dataset.times}`;
  tellTime(top, entry.at);
  return true;
}

const likeness = ({ at, ...rest }) => JSON.stringify(rest);

function draw(entry) {
  const item = document.getElementById("attempt").content.firstElementChild.cloneNode(true);
  item.dataset.outcome = entry.more ? "more" : entry.outcome;
  item.querySelector("b").textContent = words(entry);
  item.querySelector(".mark").textContent = entry.more ? "…" : entry.outcome === "accepted" ? "✓" : "✕";
  item.dataset.like = likeness(entry);
  tellTime(item, entry.at);
  const node = item.querySelector("a");
  if (entry.node) {
    Object.assign(node, { hidden: false, href: pageOf(entry.node), textContent: entry.node });
  }
  const caller = entry.caller ?? {};
  const from = [caller.remote, caller.agent, caller.key && `key ${caller.key}`, caller.path].filter(Boolean);
  item.querySelector(".from").textContent = from.join(" · ");
  for (const part of ["detail", "remedy"]) {
    const element = item.querySelector(`.${part}`);
    element.textContent = entry[part] ?? "";
    element.hidden = !entry[part];
  }
  return item;
}

function tellTime(item, at) {
  const time = item.querySelector("time");
  time.title = new Date(at * 1000).toLocaleString();
  tellAge(time, at);
}

function words(entry) {
  return entry.more ? `and ${entry.more} more ${entry.outcome}` : entry.what;
}

function offer(node) {
  const place = document.getElementById("door-opened");
  if (!place.hidden) return;
  const button = place.querySelector("a");
  button.href = pageOf(node);
  button.textContent = `Open ${node}`;
  place.hidden = false;
}

const pageOf = (node) => `/nodes/${node.split("/").map(encodeURIComponent).join("/")}`;

/** Tell who does not see the page; a flood is not read out. */
function say(entry) {
  if (Date.now() - saidAt < SAY_EVERY_MS) return;
  saidAt = Date.now();
  const outcome = entry.outcome === "accepted" ? "Accepted" : "Refused";
  document.getElementById("announce").textContent = `${outcome}: ${words(entry)}${entry.node ? `, ${entry.node}` : ""}`;
}

function connect() {
  disconnect();
  if (document.hidden || !link.isSeen) return; // a browser has six connections to a host; unseen guides keep none
  const source = new EventSource(`/help/agent/stream?after=${link.after}`);
  source.addEventListener("door", (event) => {
    expectMore();
    show("live");
    take(JSON.parse(event.data));
  });
  source.addEventListener("error", () => {
    show("lost");
    if (source.readyState === EventSource.CLOSED) {
      clearTimeout(link.poll);
      link.poll = setTimeout(poll, POLL_MS);
    }
  });
  link.source = source;
  expectMore();
}

function expectMore() {
  clearTimeout(link.quiet);
  clearTimeout(link.poll);
  link.quiet = setTimeout(poll, SILENCE_MS);
}

async function poll() {
  if (document.hidden || !link.isSeen) return;
  try {
    const answer = await fetch(`/help/agent/door?after=${link.after}`, { headers: { accept: "application/json" } });
    if (answer.status === 401 || answer.status === 403) return location.reload();
    if (answer.ok) {
      take(await answer.json());
      show("asking");
    }
  } catch {
    show("lost"); // the server is away; the next try tells
  }
  link.poll = setTimeout(poll, POLL_MS);
}

function show(how) {
  state.dataset.live = how;
  state.textContent = { live: "live", asking: "asked every 5 s", lost: "no connection; trying again" }[how];
}

function disconnect() {
  clearTimeout(link.quiet);
  clearTimeout(link.poll);
  link.source?.close();
  link.source = null;
}

new IntersectionObserver(([{ isIntersecting }]) => {
  if (isIntersecting === link.isSeen) return;
  link.isSeen = isIntersecting;
  connect();
}).observe(guide);
document.addEventListener("visibilitychange", connect);
addEventListener("pagehide", disconnect);
addEventListener("pageshow", (event) => event.persisted && connect());
