// What a chart is made of, in its element.

/** The parts by their names; `onAgain` is called when someone wants to try again. */
export function furnish(element, onAgain) {
  const parts = { plot: text("div", "plot"), canvas: text("div", "canvas"), legend: text("div", "legend"), failure: hidden(text("div", "failure")) };
  for (const [name, value] of Object.entries({ role: "img", tabindex: "0", "aria-label": "graph, loading" })) parts.plot.setAttribute(name, value);
  parts.plot.append(parts.canvas, text("div", "lane"), hidden(text("div", "cursor")), hidden(text("div", "selection")));
  parts.failure.setAttribute("role", "status");
  const again = Object.assign(text("button", "", "Try again"), { type: "button" });
  again.addEventListener("click", onAgain);
  parts.failure.append(text("p", "notice"), again);
  parts.notes = hidden(text("p", "notes"));
  parts.gaps = hidden(text("p", "notes gaps"));
  parts.tier = text("span", "tier");
  parts.newest = hidden(text("span", "newest", "newest bucket began "));
  parts.newest.append(text("span", "age"));
  const foot = text("footer");
  foot.append(parts.tier, parts.newest);
  element.replaceChildren(parts.plot, parts.notes, parts.gaps, parts.legend, parts.failure, foot, hidden(text("span", "probe")));
  return parts;
}

/** An element with a class and words. */
export function text(tag, name = "", words = "") {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.textContent = words;
  return element;
}

const hidden = (element) => Object.assign(element, { hidden: true });
