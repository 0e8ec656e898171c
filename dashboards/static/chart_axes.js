// The values of a chart: what lines and thresholds need, on a linear or a logarithmic scale, and their colours.
import { tickText } from "./ticks.js";

const POWERS_AT_MOST = 6;
const LABEL_PX = 11;

/** What the page's style says of colours, as Plotly takes them; `probe` is an element that nobody sees. */
export function coloursOf(probe) {
  const colourOf = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const many = (name, count) => Array.from({ length: count }, (_, i) => colourOf(name + i));
  return { lines: many("c", 8), main: colourOf("text"), heat: many("heat", 5), threshold: colourOf("offline"), page: colourOf("page") };
}

/** Least and most of what is drawn and of the thresholds; on a logarithmic scale of what is above zero. */
export function valuesOf([least, most], thresholds, isLog) {
  const found = [least, most, ...thresholds.map(({ value }) => value)].filter((value) => Number.isFinite(value) && (!isLog || value > 0));
  if (!found.length) return isLog ? [1, 10] : [0, 1];
  return [Math.min(...found), Math.max(...found)];
}

/** Ticks at powers, of two for bytes and of ten for others, with 2 and 5 between few: {values, texts, limits as exponents}. */
export function logTicks(least, most, unit) {
  const base = unit.startsWith("bytes") ? 2 : 10;
  const power = (value) => Math.log(value) / Math.log(base);
  const low = Math.floor(power(least) + 1e-9);
  const high = Math.max(Math.ceil(power(most) - 1e-9), low + 1);
  const every = Math.ceil((high - low) / POWERS_AT_MOST);
  const digits = base === 10 && high - low <= 2 ? [1, 2, 5] : [1];
  const powers = Array.from({ length: Math.floor((high - low) / every) + 1 }, (_, i) => low + i * every);
  const values = powers.flatMap((n) => digits.map((digit) => digit * base ** n)).filter((value) => value <= base ** high * 1.0001);
  return { values, texts: values.map((value) => tickText(value, unit)), limits: [low, high].map((n) => Math.log10(base ** n)) };
}

/** A line across the graph for each threshold. */
export function shapesOf(thresholds, isLog, colours) {
  const line = { color: colours.threshold, width: 1, dash: "dash" };
  return thresholds
    .filter(({ value }) => !isLog || value > 0)
    .map(({ value, label }) => ({
      type: "line",
      xref: "paper",
      x0: 0,
      x1: 1,
      y0: value,
      y1: value,
      line,
      label: { text: label, textposition: "end", font: { size: LABEL_PX, color: colours.threshold } },
    }));
}
