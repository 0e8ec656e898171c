// The ways to draw lines on a plane: each gives Plotly's traces, and how far its values reach.
import { filled, least, most } from "./chart_lines.js";
import { MISSING, number } from "./format.js";
import { runs, traces } from "./traces.js";

const BANDS_UP_TO = 4; // as traces.js
const AREA = 0.14;
const STACK = 0.6;
const ROW_PX = 14;
const NAME_CHARS = 7;
const still = { type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false, connectgaps: false };

/**
 * draw(lines, {colours, isLog, answer, height}) → {traces, extent: [least, most], rows?: ticks in place of values}
 * point(lines, answer, atS, share) → words on what is there, at a share of the height
 * hasValues  whether the vertical axis shows values, so that thresholds and a logarithm make sense
 */
export const PLOTS = {
  lines: { hasValues: true, draw: drawLines },
  area: { hasValues: true, draw: drawArea },
  stack: { hasValues: true, draw: drawStack },
  heatmap: { hasValues: false, draw: drawHeatmap, legend: heatLegend, point: heatAt },
};

function drawLines(lines, { colours, isLog }) {
  const shown = isLog ? lines.map(aboveZero) : lines;
  const hasBands = lines.length <= BANDS_UP_TO;
  const seen = shown.filter((line) => !line.isHidden);
  const extent = hasBands ? [least(seen.flatMap((line) => line.min)), most(seen.flatMap((line) => line.max))] : reach(seen);
  return { traces: traces(shown, colours), extent };
}

function drawArea(lines, context) {
  const bare = lines.map((line) => ({ ...line, min: line.avg, max: line.avg }));
  const { traces: above, extent } = drawLines(bare, context);
  const floor = context.isLog ? least(lines.flatMap((line) => line.avg).filter((value) => value > 0)) : 0;
  const seen = lines.filter((line) => !line.isHidden && line.ts.length && !line.shift);
  const fills = seen.flatMap((line) => polygons(line.ts, line.avg, () => floor, line, context.colours, AREA));
  return { traces: [...fills, ...above], extent: context.isLog ? extent : [Math.min(extent[0], 0), Math.max(extent[1], 0)] };
}

/** Each line upon those before it; where some lack a value it counts as zero, where all do there is a gap. */
function drawStack(lines, { colours, answer }) {
  const seen = lines.filter((line) => !line.isHidden && line.ts.length && !line.shift);
  const columns = seen.map(filled);
  const slots = Array.from({ length: answer.count }, (_, i) => i).filter((i) => columns.some((column) => column[i] !== null));
  const ts = slots.map((i) => answer.start_s + i * answer.step_s);
  let below = slots.map(() => 0);
  const drawn = [];
  let top = 0;
  seen.forEach((line, n) => {
    const base = below;
    const upper = slots.map((i, k) => base[k] + (columns[n][i] ?? 0));
    drawn.push(...polygons(ts, upper, (k) => base[k], { ...line, stepS: answer.step_s }, colours, STACK));
    below = upper;
    top = Math.max(top, most(upper));
  });
  return { traces: drawn, extent: [Math.min(0, least(below)), top] };
}

/** What lies between a line and its floor, one outline for each run without a gap. */
function polygons(ts, values, floorAt, line, colours, opacity) {
  const [x, y] = [[], []];
  for (const [first, last] of runs(ts, line.stepS)) {
    if (x.length) {
      x.push(null);
      y.push(null);
    }
    for (let i = first; i <= last; i += 1) {
      x.push(ts[i]);
      y.push(values[i]);
    }
    for (let i = last; i >= first; i -= 1) {
      x.push(ts[i]);
      y.push(floorAt(i));
    }
  }
  const colour = colours.lines[line.colour % colours.lines.length];
  const fillcolor = colour.replace("rgb(", "rgba(").replace(")", `, ${opacity})`);
  return x.length ? [{ ...still, x, y, fill: "toself", fillcolor, line: { width: opacity === STACK ? 1 : 0, color: colour, simplify: false } }] : [];
}

/** A row for each line, from top to bottom; the colour tells the value. */
function drawHeatmap(lines, { colours, answer, height }) {
  const rows = lines.filter((line) => !line.isHidden);
  const z = rows.map(filled);
  const [low, high] = reach(rows);
  const every = Math.max(Math.ceil((rows.length * ROW_PX) / Math.max(height - 32, 1)), 1);
  const named = rows.map((_, i) => i).filter((i) => i % every === 0);
  const trace = {
    type: "heatmap",
    x0: answer.start_s + answer.step_s / 2,
    dx: answer.step_s,
    z,
    zmin: low,
    zmax: high > low ? high : low + 1,
    colorscale: colours.heat.map((colour, i) => [i / (colours.heat.length - 1), colour]),
    showscale: false,
    hoverinfo: "skip",
    ygap: rows.length * 8 < height ? 1 : 0,
  };
  const ticks = { values: named, texts: named.map((i) => short(rows[i].name)), limits: [rows.length - 0.5, -0.5] };
  return { traces: rows.length ? [trace] : [], extent: [low, high], rows: ticks };
}

function heatLegend(lines, unit) {
  const [low, high] = reach(lines.filter((line) => !line.isHidden));
  const scale = document.createElement("span");
  scale.className = "heat-scale";
  const words = [low, high].map((value) => Object.assign(document.createElement("span"), { textContent: Number.isFinite(value) ? number(value, unit) : MISSING }));
  const here = Object.assign(document.createElement("span"), { className: "heat-here" });
  return [words[0], scale, words[1], here];
}

function heatAt(lines, { start_s, step_s, unit }, atS, share) {
  const rows = lines.filter((line) => !line.isHidden);
  const row = rows[Math.floor(share * rows.length)];
  return row ? `${row.name} ${number(row.values[Math.floor((atS - start_s) / step_s)], unit)}` : "";
}

const reach = (lines) => [least(lines.map((line) => least(line.avg))), most(lines.map((line) => most(line.avg)))];
const short = (name) => (name.length > NAME_CHARS ? `…${name.slice(1 - NAME_CHARS)}` : name);

function aboveZero(line) {
  const kept = line.ts.map((_, i) => i).filter((i) => line.avg[i] > 0);
  const pick = (values) => kept.map((i) => values[i]);
  return { ...line, ts: pick(line.ts), avg: pick(line.avg), max: pick(line.max), min: kept.map((i) => (line.min[i] > 0 ? line.min[i] : line.avg[i])) };
}
