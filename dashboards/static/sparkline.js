// A line the size of a word, as inline SVG, from one character a minute.
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 72;
const HEIGHT = 20;
const LEVELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"; // as dashboards/node_list/figures.py

export function sparkline() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "spark");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(SVG, "path"));
  return svg;
}

/** line: one character a minute, its place in LEVELS is the height; another character is a gap. */
export function drawSparkline(svg, line) {
  const d = pathOf([...line].map((character) => LEVELS.indexOf(character)));
  const path = svg.firstChild;
  if (path.getAttribute("d") !== d) path.setAttribute("d", d);
}

function pathOf(levels) {
  const dx = WIDTH / Math.max(levels.length - 1, 1);
  let d = "";
  levels.forEach((level, i) => {
    if (level < 0) return;
    const y = HEIGHT - 1 - (level / (LEVELS.length - 1)) * (HEIGHT - 2);
    const starts = i === 0 || levels[i - 1] < 0;
    d += `${starts ? "M" : "L"}${(i * dx).toFixed(1)} ${y.toFixed(1)}`;
    if (starts && (i === levels.length - 1 || levels[i + 1] < 0)) d += "h0.01"; // alone between gaps: a dot
  });
  return d;
}
