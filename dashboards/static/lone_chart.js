// A chart that stands alone on its page: it follows the theme, the zone and the pointer, and keeps its window.
import { Chart } from "./chart.js";
import { currentZone, onChange } from "./choices.js";
import { linkCursors } from "./cursor.js";

/** element  an empty block;  graph  as Chart takes it;  fromS, toS  the window, Unix seconds */
export function loneChart(element, graph, fromS, toS) {
  const chart = new Chart(element, { graph, fromS, toS });
  linkCursors(element.parentElement, {
    seen: () => (chart.loaded ? [chart] : []),
    zone: currentZone,
    standing: () => "",
    onSelect: (from, to) => chart.show({ fromS: from, toS: to }),
    onBack: () => chart.show({ fromS, toS }),
  });
  onChange("theme", () => chart.recolour());
  onChange("zone", () => chart.redraw());
  return chart;
}
