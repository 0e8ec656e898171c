// From an answer's values on one grid to lines: what is lacking left out, and how each looks.
import { cadenceS } from "./traces.js";

const COLOURS = 8;
const DASHES = 3;
const GAP = 2.5; // times the usual distance of samples: what is longer is a gap, as in traces.js

/**
 * The lines of an answer, in its order:
 *   {name, labels, query, shift, key, css, colour, ts, avg, min, max, values, stepS}
 * ts to max without what is lacking; values as they came, one for each bucket. A comparison looks like its line of now.
 */
export function linesOf(answer) {
  const colours = new Map();
  const shifts = [...new Set(answer.lines.map((line) => line.shift))].filter(Boolean);
  return answer.lines.map((line) => {
    const same = JSON.stringify([line.query, Object.entries(line.labels).sort()]);
    if (!colours.has(same)) colours.set(same, colours.size);
    const dash = line.shift ? shifts.indexOf(line.shift) + 1 : Math.floor(colours.get(same) / COLOURS);
    const colour = (colours.get(same) % COLOURS) + (dash % DASHES) * COLOURS;
    const look = { colour, css: `c${colour % COLOURS} dash${dash % DASHES}`, isMain: false, isHidden: false };
    return { ...line, key: `${same} ${line.shift}`, ...look, ...present(line, answer), stepS: answer.step_s };
  });
}

/** Index of the sample nearest to an instant; -1 when it lies in a gap. */
export function nearest(line, atS) {
  let [low, high] = [0, line.ts.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (line.ts[middle] < atS) low = middle + 1;
    else high = middle;
  }
  if (high < 0) return -1;
  const i = low > 0 && atS - line.ts[low - 1] < line.ts[low] - atS ? low - 1 : low;
  return Math.abs(line.ts[i] - atS) <= GAP * cadenceS(line.ts, line.stepS) ? i : -1;
}

/** A line's values with those between two near samples put in between; what is a gap stays null. */
export function filled(line) {
  const longest = (GAP * cadenceS(line.ts, line.stepS)) / line.stepS;
  const found = [...line.values];
  let last = -1;
  for (let i = 0; i < found.length; i += 1) {
    if (line.values[i] === null) continue;
    const [from, to] = [line.values[last], line.values[i]];
    if (last >= 0 && i - last <= longest) for (let k = last + 1; k < i; k += 1) found[k] = from + ((to - from) * (k - last)) / (i - last);
    last = i;
  }
  return found;
}

/** Least, mean and most of a line, and its last value. */
export function summary(line) {
  if (!line.ts.length) return { last: null, min: null, avg: null, max: null };
  const sum = line.avg.reduce((total, value) => total + value, 0);
  return { last: line.avg.at(-1), min: least(line.min), avg: sum / line.avg.length, max: most(line.max) };
}

/** Of what the percentiles of queries are: two that are called alike can be far apart. */
export function percentileNotes(queries) {
  const isOne = (name) => /^p\d\d$/.test(name ?? "");
  return queries.filter(({ hidden, over, by, across }) => !hidden && (isOne(over) || (by && isOne(across)))).map(({ id, over, by, across }) => {
    const samples = isOne(over) ? `${over} of the single samples in each step` : "";
    const series = by && isOne(across) ? `${across} of the values that series have in each step (their ${samples || over})` : "";
    return `${id}: ${series || samples}`;
  });
}

export const least = (values) => values.reduce((found, value) => Math.min(found, value), Infinity);
export const most = (values) => values.reduce((found, value) => Math.max(found, value), -Infinity);

function present({ values, min = values, max = values }, { start_s, step_s }) {
  const found = { ts: [], avg: [], min: [], max: [] };
  values.forEach((value, i) => {
    if (value === null) return;
    found.ts.push(start_s + i * step_s);
    found.avg.push(value);
    found.min.push(min[i]);
    found.max.push(max[i]);
  });
  return found;
}
