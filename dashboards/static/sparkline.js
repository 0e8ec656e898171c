// A line the size of a word, as inline SVG.
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 72;
const HEIGHT = 20;

export function sparkline() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "spark");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(SVG, "path"));
  return svg;
}

/** values: one a minute, null where there is none; limits: [least, most] the line is drawn between. */
export function drawSparkline(svg, values, limits) {
  const d = pathOf(values, limits);
  const path = svg.firstChild;
  if (path.getAttribute("d") !== d) path.setAttribute("d", d);
}

function pathOf(values, [least, most]) {
  const span = most - least || 1;
  const dx = WIDTH / Math.max(values.length - 1, 1);
  let d = "";
  values.forEach((value, i) => {
    if (value === null) return;
    const y = HEIGHT - 1 - ((Math.min(Math.max(value, least), most) - least) / span) * (HEIGHT - 2);
    const starts = i === 0 || values[i - 1] === null;
    d += `${starts ? "M" : "L"}${(i * dx).toFixed(1)} ${y.toFixed(1)}`;
    if (starts && (i === values.length - 1 || values[i + 1] === null)) d += "h0.01"; // alone between gaps: a dot
  });
  return d;
}
