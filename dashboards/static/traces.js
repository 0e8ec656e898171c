// From the arrays the server sends to what Plotly draws: gaps stay gaps, spikes stay seen.
const GAP = 2.5; // times the usual distance of samples
const USUAL_AT_MOST_S = 60; // for the distance of two samples, which alone cannot tell what is usual
const BANDS_UP_TO = 4; // lines; more bands would cover each other

/** The usual distance between samples of one series, in seconds, and never less than the step. */
export function cadenceS(ts, stepS) {
  if (ts.length < 2) return stepS;
  if (ts.length === 2) return Math.max(stepS, Math.min(ts[1] - ts[0], USUAL_AT_MOST_S));
  const distances = [];
  const stride = Math.max(Math.floor(ts.length / 200), 1);
  for (let i = 1; i < ts.length; i += stride) distances.push(ts[i] - ts[i - 1]);
  distances.sort((a, b) => a - b);
  return Math.max(distances[distances.length >> 1], stepS);
}

/** Runs of samples without a gap in between, as pairs of first and last index. */
export function runs(ts, stepS) {
  const usual = cadenceS(ts, stepS);
  const apart = (i) => ts[i] - ts[i - 1];
  // Where both neighbours are as far apart, that is how they came: before a recording began, say.
  const around = (i) => Math.min(i > 1 ? apart(i - 1) : Infinity, i + 1 < ts.length ? apart(i + 1) : Infinity);
  const isNear = (i) => apart(i) <= GAP * usual || (ts.length > 3 && apart(i) <= GAP * around(i));
  const found = [];
  let first = 0;
  for (let i = 1; i <= ts.length; i += 1) {
    if (i < ts.length && isNear(i)) continue;
    found.push([first, i - 1]);
    first = i;
  }
  return ts.length ? found : [];
}

/**
 * Plotly's traces of all lines of a graph.
 * colours  {lines: [8], main}: the n-th line takes the n-th, every eight lines another dash; a total lies on top
 */
export function traces(lines, colours) {
  const seen = lines.filter((line) => !line.isHidden && line.ts.length).sort((a, b) => a.isMain - b.isMain);
  const bands = lines.length <= BANDS_UP_TO ? seen.map((line) => band(line, colours)) : [];
  return [...bands, ...seen.map((line) => average(line, colours)), ...seen.map((line) => lone(line, colours))].filter(Boolean);
}

function average(line, colours) {
  const [x, y] = [[], []];
  for (const [first, last] of runs(line.ts, line.stepS)) {
    if (x.length) {
      x.push(line.ts[first]);
      y.push(null);
    }
    for (let i = first; i <= last; i += 1) {
      x.push(line.ts[i]);
      y.push(line.avg[i]);
    }
  }
  const dash = ["solid", "dot", "dash"][Math.floor(line.colour / colours.lines.length) % 3];
  return { ...still, mode: "lines", x, y, line: { color: colourOf(line, colours), width: line.isMain ? 1.75 : 1.25, dash, simplify: false } };
}

/** Least to most as one outline for each run. */
function band(line, colours) {
  if (line.max.every((value, i) => value === line.min[i])) return null;
  const [x, y] = [[], []];
  for (const [first, last] of runs(line.ts, line.stepS)) {
    if (x.length) {
      x.push(null);
      y.push(null);
    }
    for (let i = first; i <= last; i += 1) {
      x.push(line.ts[i]);
      y.push(line.max[i]);
    }
    for (let i = last; i >= first; i -= 1) {
      x.push(line.ts[i]);
      y.push(line.min[i]);
    }
  }
  const fillcolor = colourOf(line, colours).replace("rgb(", "rgba(").replace(")", ", 0.18)");
  return { ...still, mode: "lines", x, y, fill: "toself", fillcolor, line: { width: 0, simplify: false } };
}

/** Samples alone between two gaps, which no line can show. */
function lone(line, colours) {
  const alone = runs(line.ts, line.stepS).filter(([first, last]) => first === last).map(([first]) => first);
  if (!alone.length) return null;
  const marker = { color: colourOf(line, colours), size: 3 };
  return { ...still, mode: "markers", x: alone.map((i) => line.ts[i]), y: alone.map((i) => line.avg[i]), marker };
}

const still = { type: "scatter", hoverinfo: "skip", showlegend: false, connectgaps: false };
const colourOf = (line, colours) => (line.isMain ? colours.main : colours.lines[line.colour % colours.lines.length]);
