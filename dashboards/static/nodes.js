// The list of nodes: the address says what is shown, the server finds, sorts and counts, the stream tells what changes.
import { isTyping } from "./app.js";
import { Rows } from "./rows.js";
import { follow } from "./stream.js";

const TYPING_MS = 150;
const BUSY_MS = 300;
const SAID_MOST = 3;

const list = document.getElementById("list");
const table = document.getElementById("nodes");
const filter = list.querySelector("[data-filter]");
const rows = new Rows(table.tBodies[0]);
const page = { query: read(location.search), active: null, typing: 0, busy: 0, isTold: true, pages: 1 };
const show = (id, isShown) => (document.getElementById(id).hidden = !isShown);

function read(search) {
  const query = new URLSearchParams(search);
  return Object.fromEntries(["q", "state", "sort", "page"].map((key) => [key, query.get(key) ?? ""]));
}

/** The address of this list with some of it changed; a changed list begins at its first page. */
function address(changes) {
  const wanted = { ...page.query, page: "", ...changes };
  const query = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value));
  return query.size ? `/nodes?${query}` : "/nodes";
}

/** What the server is asked for: this list, whatever else stands in the address. */
const search = () => address({ page: page.query.page }).slice("/nodes".length);

function take(message) {
  clearTimeout(page.busy);
  table.removeAttribute("aria-busy");
  if (message.summary) summarise(message.summary);
  if (message.summary?.problem) return; // the rows of the last filter that could be read stay
  tell(rows.learn(message));
  const isEmpty = rows.names.length === 0;
  show("none", isEmpty);
  table.parentElement.hidden = isEmpty;
  if (!rows.names.includes(page.active)) page.active = null;
  rows.mark(page.active);
}

function summarise({ all, active, counts, state, page: shown, pages, span, problem, away }) {
  page.pages = pages;
  show("list", all > 0);
  show("first", all === 0);
  show("figures-away", away.includes("figures"));
  show("problem", problem);
  document.getElementById("problem").textContent = problem;
  filter.setAttribute("aria-invalid", String(Boolean(problem)));
  for (const chip of list.querySelectorAll("[data-state-filter]")) {
    const its = chip.dataset.stateFilter;
    const n = its ? (counts[its] ?? 0) : active;
    chip.querySelector(".count").textContent = n.toLocaleString("en");
    chip.hidden = its !== "" && its !== state && !n;
    if (its === state) chip.setAttribute("aria-current", "true");
    else chip.removeAttribute("aria-current");
  }
  show("pager", pages > 1);
  document.getElementById("span").textContent = span;
  if (!page.isTold) say(problem || span.replace(/^.* of /, "") + " nodes found");
  page.isTold = true;
  link(shown, pages);
}

/** Every link on the page leads from what is shown now. */
function link(shown, pages) {
  for (const chip of list.querySelectorAll("[data-state-filter]")) chip.href = address({ state: chip.dataset.stateFilter });
  const [, minus, column] = /^(-?)(.*)$/.exec(page.query.sort || "name");
  for (const head of table.querySelectorAll("[data-sort]")) {
    const its = head.dataset.sort;
    const isDown = its === column ? !minus : head.parentElement.classList.contains("figure");
    const sort = (isDown ? "-" : "") + its;
    head.href = address({ sort: sort === "name" ? "" : sort });
    if (its === column) head.parentElement.setAttribute("aria-sort", minus ? "descending" : "ascending");
    else head.parentElement.removeAttribute("aria-sort");
  }
  for (const button of list.querySelectorAll("[data-page]")) {
    const to = shown + Number(button.dataset.page);
    if (to < 1 || to > pages) button.removeAttribute("href");
    else button.href = address({ page: to === 1 ? "" : String(to) });
  }
}

/** Say which nodes changed their state; how many, when they are many. */
function tell(moved) {
  if (moved.length > SAID_MOST) say(`${moved.length} nodes changed their state`);
  else if (moved.length) say(moved.map(([name, state]) => `${name} is ${state}`).join(", "));
}

function say(words) {
  document.getElementById("announce").textContent = words;
}

/** Show another list. `step`: as a new step of the browser's history, or in place of this one. */
function go(href, step = "pushState") {
  if (href !== location.pathname + location.search) history[step](null, "", href);
  page.query = read(location.search);
  page.isTold = false;
  if (document.activeElement !== filter) filter.value = page.query.q;
  link(Number(page.query.page || 1), page.pages);
  clearTimeout(page.busy);
  page.busy = setTimeout(() => table.setAttribute("aria-busy", "true"), BUSY_MS);
  ask(search());
}

function typed(words) {
  clearTimeout(page.typing);
  page.typing = setTimeout(() => {
    const q = words.trim().replace(/\s+/g, " ");
    if (q !== page.query.q) go(address({ q }), page.query.q && q ? "replaceState" : "pushState");
  }, TYPING_MS);
}

function move(by) {
  if (!rows.names.length) return;
  const at = rows.names.indexOf(page.active);
  page.active = rows.names[Math.min(Math.max(at + by, 0), rows.names.length - 1)];
  rows.mark(page.active);
  rows.touch();
  const link = rows.linkOf(page.active);
  link.focus({ preventScroll: true });
  link.scrollIntoView({ block: "nearest" });
}

function clear() {
  filter.value = "";
  go(address({ q: "", state: "" }));
}

list.addEventListener("click", (event) => {
  const href = event.target.closest("[data-go]")?.getAttribute("href");
  if (!href || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.button) return;
  event.preventDefault();
  if (event.target.closest("#none")) filter.value = "";
  go(href);
  if (event.target.closest("#pager")) scrollTo(0, 0);
});
list.querySelector("#filter").addEventListener("submit", (event) => {
  event.preventDefault();
  move(rows.names.includes(page.active) ? 0 : 1);
});
filter.addEventListener("input", () => typed(filter.value));
addEventListener("popstate", () => {
  filter.value = read(location.search).q;
  go(location.pathname + location.search);
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === filter) {
    if (event.key === "ArrowDown") move(rows.names.includes(page.active) ? 0 : 1);
    if (event.key !== "Escape") return;
    event.preventDefault();
    if (filter.value) clear();
    else filter.blur();
    return;
  }
  if (isTyping(event.target)) return;
  if (event.key === "j") move(1);
  if (event.key === "k") move(-1);
  if (event.key === "Enter" && page.active && !event.target.closest("a, button")) location.assign(rows.linkOf(page.active).href);
  if (event.key === "Escape" && (page.query.q || page.query.state)) clear();
});

const ask = follow(search(), take);
