// The axes of a chart: what lines and thresholds need, on a linear or a logarithmic scale.
import { number } from "./format.js";

const DECADES_AT_MOST = 6;
const LABEL_PX = 11;

export function axis(ticks, range) {
  return {
    type: "linear",
    range,
    tickmode: "array",
    tickvals: ticks.values,
    ticktext: ticks.texts,
    fixedrange: true,
    zeroline: false,
    showline: false,
    ticks: "",
    automargin: false,
  };
}

/** Least and most of what is drawn and of the thresholds; on a logarithmic scale of what is above zero. */
export function valuesOf([least, most], thresholds, isLog) {
  const found = [least, most, ...thresholds.map(({ value }) => value)].filter((value) => Number.isFinite(value) && (!isLog || value > 0));
  if (!found.length) return isLog ? [1, 10] : [0, 1];
  return [Math.min(...found), Math.max(...found)];
}

/** Ticks at powers of ten, with 2 and 5 between them when there are few: {values, texts, limits}; limits are exponents. */
export function logTicks(least, most, unit) {
  const [low, high] = [Math.floor(Math.log10(least)), Math.max(Math.ceil(Math.log10(most)), Math.floor(Math.log10(least)) + 1)];
  const every = Math.ceil((high - low) / DECADES_AT_MOST);
  const digits = high - low <= 2 ? [1, 2, 5] : [1];
  const values = [];
  for (let power = low; power <= high; power += every) for (const digit of digits) values.push(digit * 10 ** power);
  const seen = values.filter((value) => value <= 10 ** high * 1.0001);
  return { values: seen, texts: seen.map((value) => number(value, unit).replace("/s", "")), limits: [low, high] };
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
