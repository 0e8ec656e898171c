// The bar above the graphs: ranges, the way to and fro, zone, filter, and the list of groups.
import { currentZone } from "./choices.js";
import { instant, offsetS } from "./ticks.js";
import { isLive } from "./range.js";

const bar = document.getElementById("toolbar");
const custom = document.getElementById("custom");
const opener = bar.querySelector("[data-custom]");

/** Wire the bar to what the page can do; returns how the page tells the bar what it shows. Not every bar has a filter. */
export function wireToolbar({ root, pick, pickBetween, shift, zone }) {
  const filter = bar.querySelector("[data-filter]");
  bar.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.range) pick(button.dataset.range);
    if (button?.dataset.shift) shift(Number(button.dataset.shift));
    if (button?.dataset.widen) shift(0, Number(button.dataset.widen));
    if (button?.dataset.zone) zone(button.dataset.zone);
    if (button === opener) open(custom.hidden);
    if (button?.dataset.range) open(false);
  });
  custom.addEventListener("submit", (event) => {
    event.preventDefault();
    const [fromS, toS] = ["from", "to"].map((name) => readInput(custom.elements[name].value));
    custom.elements.to.setCustomValidity(toS > fromS ? "" : "The end must be after the start");
    if (!custom.reportValidity()) return;
    open(false);
    pickBetween(fromS, toS);
  });
  custom.addEventListener("input", () => custom.elements.to.setCustomValidity(""));
  custom.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    open(false);
    opener.focus();
  });
  filter?.addEventListener("input", () => sieve(root, filter.value.trim().toLowerCase()));
  filter?.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    filter.value = "";
    sieve(root, "");
    filter.blur();
  });
  return { show, listGroups: () => listGroups(root) };
}

function open(isOpen) {
  custom.hidden = !isOpen;
  opener.setAttribute("aria-expanded", String(isOpen));
  if (isOpen) custom.elements.from.focus();
}

function show(range, fromS, toS) {
  for (const button of bar.querySelectorAll("[data-range]")) button.setAttribute("aria-pressed", String(button.dataset.range === range.last));
  opener.setAttribute("aria-pressed", String(!isLive(range)));
  for (const button of bar.querySelectorAll("[data-zone]")) button.setAttribute("aria-pressed", String(button.dataset.zone === currentZone()));
  const words = document.getElementById("window");
  const withSeconds = toS - fromS < 900;
  words.textContent = `${instant(fromS, currentZone(), withSeconds)} – ${instant(toS, currentZone(), withSeconds)}`;
  words.dataset.live = isLive(range) ? "1" : "";
  if (custom.hidden) [custom.elements.from.value, custom.elements.to.value] = [fromS, toS].map(toInput);
}

function toInput(atS) {
  return new Date((atS + offsetS(atS, currentZone())) * 1000).toISOString().slice(0, 19);
}

function readInput(text) {
  return new Date(currentZone() === "utc" ? `${text}Z` : text).getTime() / 1000;
}

function sieve(root, text) {
  for (const panel of root.querySelectorAll(".panel")) panel.hidden = !panel.dataset.text.includes(text);
  for (const group of root.querySelectorAll(".group")) group.hidden = !group.querySelector(".panel:not([hidden])");
  document.getElementById("no-match").hidden = !text || Boolean(root.querySelector(".panel:not([hidden])"));
}

function listGroups(root) {
  const links = [...root.querySelectorAll(".group")].map((group) => {
    const link = document.createElement("a");
    link.href = `#${group.id}`;
    link.textContent = group.querySelector("h2").textContent;
    return link;
  });
  const list = document.getElementById("groups");
  list.replaceChildren(...links, list.lastElementChild); // the history stays the last
}
