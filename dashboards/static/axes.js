// The axes of a graph: where time and values lie on its pixels, its grid, and what the lines of the grid say.
//
// We draw them, not Plotly: its two axes take half of the time that a graph takes, and twenty graphs are drawn at once.
import { timeTicks } from "./ticks.js";

export const MARGIN = { l: 52, r: 18, t: 8, b: 24 };
const CHARACTER_PX = 6.2; // of the font of a graph's words; to measure each would lay the page out for each
const CORNER_PX = 20; // a time so near the left edge would stand on the lowest value
const SVG = "http://www.w3.org/2000/svg";
const [WORDS_LEFT_PX, WORDS_BELOW_PX, BASELINE_PX] = [4, 15, 4];

/** Ticks of a window on so many pixels; a time that has no room is left without words. */
export function timesOf(fromS, toS, inner, zone) {
  const ticks = timeTicks(fromS, toS, inner, zone);
  const pixelOf = (atS) => ((atS - fromS) / (toS - fromS)) * inner;
  const fits = (text, at) => at >= CORNER_PX && at + (text.length * CHARACTER_PX) / 2 <= inner + MARGIN.r;
  return { ...ticks, texts: ticks.texts.map((text, i) => (fits(text, pixelOf(ticks.values[i])) ? text : "")), limits: [fromS, toS] };
}

/** Plotly's layout of a graph whose axes are drawn here. */
export function layoutOf({ width, height }, x, y, shapes = []) {
  const hidden = { visible: false, fixedrange: true, automargin: false };
  return {
    width,
    height,
    margin: MARGIN,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    hovermode: false,
    dragmode: false,
    showlegend: false,
    shapes,
    xaxis: { ...hidden, type: "linear", range: x.limits },
    yaxis: { ...hidden, type: y.isLog ? "log" : "linear", range: y.limits },
  };
}

export class Axes {
  #svg;
  #lines = made("path");
  #words = made("g");

  /** plot  the element that holds Plotly's canvas; the grid lies below it */
  constructor(plot) {
    this.#svg = made("svg");
    this.#svg.classList.add("axes");
    this.#svg.append(this.#lines, this.#words);
    plot.prepend(this.#svg);
  }

  /**
   * x, y  {values, texts, limits: [at the left or the foot, at the other end], isLog: limits are exponents of ten}
   */
  draw({ width, height }, x, y) {
    const [inner, tall] = [width - MARGIN.l - MARGIN.r, height - MARGIN.t - MARGIN.b];
    const columns = placesOf(x).map((share) => Math.round(MARGIN.l + share * inner));
    const rows = placesOf(y).map((share) => Math.round(MARGIN.t + (1 - share) * tall));
    const across = rows.map((at) => `M${MARGIN.l} ${at + 0.5}h${inner}`);
    this.#lines.setAttribute("d", columns.map((at) => `M${at + 0.5} ${MARGIN.t}v${tall}`).concat(across).join(""));
    const below = columns.map((at, i) => word(x.texts[i], at, height - MARGIN.b + WORDS_BELOW_PX, "middle"));
    const beside = rows.map((at, i) => word(y.texts[i], MARGIN.l - WORDS_LEFT_PX, at + BASELINE_PX, "end"));
    this.#words.replaceChildren(...below, ...beside);
  }

  clear() {
    this.#lines.removeAttribute("d");
    this.#words.replaceChildren();
  }
}

/** How far along its axis each tick lies, from 0 to 1. */
function placesOf({ values, limits: [first, last], isLog }) {
  return values.map((value) => ((isLog ? Math.log10(value) : value) - first) / (last - first));
}

function word(text, x, y, anchor) {
  const element = made("text");
  for (const [name, value] of Object.entries({ x, y, "text-anchor": anchor })) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

const made = (name) => document.createElementNS(SVG, name);
