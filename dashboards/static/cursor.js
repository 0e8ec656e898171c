// One pointer over many graphs: the same instant is marked on all of them, a drag selects the same stretch on all.
import { MARGIN } from "./axes.js";
import { instant } from "./ticks.js";

const DRAG_PX = 6;

/**
 * root      holds the graphs
 * seen      () → the panels on the screen
 * zone      () → "utc" | "local"
 * standing  (instant) → how the node stood then, "" for online
 * told      (panel, instant) → lines of words on what happened then
 * onSelect  (fromS, toS) after a drag
 * onBack    () after a double click
 */
export function linkCursors(root, { seen, zone, standing = () => "", told = () => [], onSelect, onBack }) {
  let drag = null;
  let frame = 0;
  let latest = null;
  let isByKey = false; // then nobody sees the pointer move: what is there is said

  const show = () => {
    frame = 0;
    const { panel, atS } = latest;
    const lines = told(panel, atS);
    for (const other of seen()) mark(other, atS, ...(other === panel ? [label(panel, atS, zone(), standing(atS)), lines] : ["", []]));
    if (isByKey) document.getElementById("announce").textContent = [label(panel, atS, zone(), standing(atS)), ...lines].join(", ");
    if (drag) for (const other of seen()) select(other, drag.fromS, atS);
  };
  const at = (event) => {
    const panel = panelOf(event.target, seen());
    return panel && { panel, atS: instantAt(panel, event.clientX) };
  };
  const clear = () => {
    cancelAnimationFrame(frame);
    frame = 0;
    drag = null;
    for (const panel of seen()) unmark(panel);
  };

  root.addEventListener("pointermove", (event) => {
    const place = drag ? { panel: drag.panel, atS: instantAt(drag.panel, event.clientX) } : at(event);
    if (!place) return latest && !drag ? ((latest = null), clear()) : undefined;
    latest = place;
    isByKey = false;
    frame ||= requestAnimationFrame(show);
  });
  root.addEventListener("pointerdown", (event) => {
    const place = event.button === 0 && at(event);
    if (!place) return;
    drag = { panel: place.panel, fromS: place.atS, x: event.clientX };
    place.panel.plot.setPointerCapture(event.pointerId);
  });
  root.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const { panel, fromS, x } = drag;
    const toS = instantAt(panel, event.clientX);
    clear();
    if (Math.abs(event.clientX - x) >= DRAG_PX) onSelect(Math.min(fromS, toS), Math.max(fromS, toS));
  });
  root.addEventListener("pointercancel", clear);
  root.addEventListener("pointerleave", () => drag || clear());
  root.addEventListener("dblclick", (event) => at(event) && onBack());
  root.addEventListener("keydown", (event) => {
    const panel = event.target.classList.contains("plot") && panelOf(event.target, seen());
    if (!panel) return;
    if (event.key === "Escape" || event.key === "Tab") return clear();
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const stepS = (panel.toS - panel.fromS) / (event.shiftKey ? 10 : 100);
    const atS = Math.min(Math.max((latest?.atS ?? panel.toS) + by * stepS, panel.fromS), panel.toS);
    latest = { panel, atS };
    isByKey = true;
    show();
  });
}

function panelOf(target, panels) {
  const plot = target.closest?.(".plot");
  return plot ? panels.find((panel) => panel.plot === plot && panel.loaded) : undefined;
}

function instantAt(panel, clientX) {
  const box = panel.plot.getBoundingClientRect();
  const share = (clientX - box.left - MARGIN.l) / (box.width - MARGIN.l - MARGIN.r);
  return panel.fromS + Math.min(Math.max(share, 0), 1) * (panel.toS - panel.fromS);
}

function pixelOf(panel, atS) {
  const width = panel.width - MARGIN.l - MARGIN.r;
  return MARGIN.l + ((atS - panel.fromS) / (panel.toS - panel.fromS)) * width;
}

function label(panel, atS, zone, standing) {
  const time = instant(atS, zone, panel.toS - panel.fromS < 86400 * 2);
  return standing ? `${time} · ${standing}` : time;
}

function mark(panel, atS, words, lines) {
  const cursor = panel.plot.querySelector(".cursor");
  const x = pixelOf(panel, atS);
  cursor.hidden = false;
  cursor.style.transform = `translateX(${x}px)`;
  cursor.classList.toggle("right-half", x > panel.width / 2);
  cursor.dataset.time = words;
  cursor.dataset.told = lines.join("\n");
  panel.showValues(atS);
}

function select(panel, fromS, toS) {
  const selection = panel.plot.querySelector(".selection");
  const [left, right] = [pixelOf(panel, Math.min(fromS, toS)), pixelOf(panel, Math.max(fromS, toS))];
  selection.hidden = false;
  selection.style.left = `${left}px`;
  selection.style.width = `${right - left}px`;
}

function unmark(panel) {
  panel.plot.querySelector(".cursor").hidden = true;
  panel.plot.querySelector(".selection").hidden = true;
  panel.showValues(null);
}
