// The keys of a page, told by the page itself: each button says its own with aria-keyshortcuts.
const OF_GRAPHS = [
  [["←", "→"], "Move along a graph that has the focus"],
  [["Shift", "←"], "The same in larger steps"],
  [["Esc"], "Leave the graph, a field or a menu"],
];
const NAMES = { Control: "Ctrl", ArrowLeft: "←", ArrowRight: "→" };
let dialog = null;

/** Show them; they are gathered anew each time, for a page changes. */
export function showKeys() {
  dialog ??= make();
  dialog.querySelector("dl").replaceChildren(...rows().flatMap(([keys, words]) => row(keys, words)));
  if (!dialog.open) dialog.showModal();
}

function rows() {
  const found = new Map();
  for (const element of document.querySelectorAll("[aria-keyshortcuts]")) {
    if (element.hidden || element.closest("[hidden], dialog") || element.matches("[data-keys]")) continue;
    const keys = element.getAttribute("aria-keyshortcuts");
    if (!found.has(keys)) found.set(keys, [keys.split("+").map((key) => NAMES[key] ?? key.toUpperCase()), wordsOf(element)]);
  }
  const ofGraphs = document.querySelector(".plot") ? OF_GRAPHS : [];
  return [...found.values(), ...ofGraphs, [["?"], "These keys"]];
}

/** What a button is called, and what it says of itself. */
function wordsOf(element) {
  const name = element.getAttribute("aria-label") || element.textContent.trim() || element.placeholder;
  const title = element.title && element.title !== name ? `: ${element.title[0].toLowerCase()}${element.title.slice(1)}` : "";
  return name + title;
}

function row(keys, words) {
  const term = document.createElement("dt");
  keys.forEach((key) => term.append(Object.assign(document.createElement("kbd"), { textContent: key }), " "));
  return [term, Object.assign(document.createElement("dd"), { textContent: words })];
}

function make() {
  const made = Object.assign(document.createElement("dialog"), { id: "keys-help" });
  made.setAttribute("aria-labelledby", "keys-title");
  const form = Object.assign(document.createElement("form"), { method: "dialog" });
  form.append(Object.assign(document.createElement("button"), { className: "quiet", textContent: "Close" }));
  const head = document.createElement("header");
  head.append(Object.assign(document.createElement("h2"), { id: "keys-title", textContent: "Keys of this page" }), form);
  made.append(head, document.createElement("dl"));
  made.addEventListener("click", ({ target }) => target === made && made.close()); // beside it
  return document.body.appendChild(made);
}
