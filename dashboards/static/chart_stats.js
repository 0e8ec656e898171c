// The latest value of each line, large enough to be read across a room.
import { number } from "./format.js";
import { least, most, summary } from "./chart_lines.js";
import { runs } from "./traces.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [100, 24];

export function stats(lines, answer, thresholds) {
  return lines.map((line) => {
    const { last } = summary(line);
    const card = document.createElement("div");
    const passed = thresholds.filter(({ value }) => last !== null && last >= value).at(-1);
    card.className = `stat ${line.css}${passed ? " passed" : ""}`;
    const name = part("span", line.name);
    if (passed?.label) name.append(" ", part("em", passed.label));
    card.append(part("b", number(last, answer.unit)), name, spark(line, answer));
    return card;
  });
}

function part(tag, words) {
  return Object.assign(document.createElement(tag), { textContent: words });
}

function spark(line, { start_s, step_s, count }) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  const [min, max] = [least(line.avg), most(line.avg)];
  const at = (ts, value) => `${(((ts - start_s) / step_s / Math.max(count - 1, 1)) * WIDTH).toFixed(1)} ${(HEIGHT - 2 - ((value - min) / (max - min || 1)) * (HEIGHT - 4)).toFixed(1)}`;
  const begins = new Set(runs(line.ts, line.stepS).map(([first]) => first));
  path.setAttribute("d", line.ts.map((ts, i) => `${begins.has(i) ? "M" : "L"}${at(ts, line.avg[i])}`).join(""));
  svg.append(path);
  return svg;
}
