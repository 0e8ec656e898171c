// Where the lines of a graph have nothing to show. Pure.
import { cadenceS, runs } from "./traces.js";

const GAP = 2.5; // times the usual distance of samples, as traces.js

/** [{node, fromS, toS}] between the samples of each line, and behind its last one up to the window's end. */
export function gapsOf(lines, endS) {
  return lines.filter(({ shift, ts }) => !shift && ts.length).flatMap((line) => {
    const stretches = runs(line.ts, line.stepS);
    const found = stretches.slice(1).map(([first], i) => ({ fromS: line.ts[stretches[i][1]], toS: line.ts[first] }));
    const last = line.ts.at(-1);
    if (endS - last > GAP * cadenceS(line.ts, line.stepS) + line.stepS) found.push({ fromS: last, toS: endS });
    return found.map((gap) => ({ ...gap, node: line.labels.node ?? "" }));
  });
}
