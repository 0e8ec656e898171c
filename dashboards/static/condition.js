// One condition: its graph with the limit, and what it says now and said before, kept current.
import { nowS } from "./clock.js";
import { loneChart } from "./lone_chart.js";
import { keepFresh } from "./refresh.js";

const SHOWN_S = 6 * 3600;
const AGAIN_MS = 15000;

const element = document.getElementById("chart");
if (element) {
  const given = element.dataset;
  const isFixed = "from" in given;
  const toS = isFixed ? Number(given.to) : nowS();
  const chart = loneChart(element, JSON.parse(given.graph), isFixed ? Number(given.from) : toS - SHOWN_S, toS);
  chart.show();
  if (!isFixed) setInterval(() => document.hidden || chart.refresh(nowS() - SHOWN_S, nowS()), AGAIN_MS);
}
if (document.querySelector("[data-live]") && !new URLSearchParams(location.search).has("before")) {
  for (const id of ["now", "timeline"]) {
    const part = document.getElementById(id);
    if (part) keepFresh(location.pathname, part);
  }
}
