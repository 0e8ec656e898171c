// Moving and resizing panels: by pointer with a shadow of where one will lie, by keyboard in steps of the grid.
import { COLUMNS, place } from "./grid.js";

const EDGE_PX = 56; // so near an edge of the window a drag scrolls
const STEP = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const ACTS = [
  ["edit", "Edit", "M3 13l.7-3L11 2.7 13.3 5 6 12.3z"],
  ["duplicate", "Duplicate", "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3"],
  ["remove", "Remove", "M3 4.5h10M6.5 4V2.5h3V4M4.5 4.5l.5 9h6l.5-9"],
];

export class Mover {
  constructor(editor) {
    this.editor = editor;
    this.root = editor.board.element;
    this.drag = null;
    this.root.addEventListener("pointerdown", (event) => this.#begin(event));
    this.root.addEventListener("pointermove", (event) => this.#move(event));
    this.root.addEventListener("pointerup", () => this.#end(true));
    this.root.addEventListener("pointercancel", () => this.#end(false));
    this.root.addEventListener("lostpointercapture", () => this.#end(false));
    this.root.addEventListener("keydown", (event) => this.#key(event));
    this.root.addEventListener("click", (event) => this.#press(event));
    this.root.addEventListener("dblclick", (event) => {
      const tile = editor.board.isEdited && event.target.closest(".tile > header") && event.target.closest(".tile");
      if (tile) editor.edit(tile.dataset.id);
    });
  }

  /** Give a tile what editing needs, once; the stylesheet shows it while one edits. */
  equip(id, { element, name }) {
    let tools = element.querySelector(".tools");
    if (!tools) {
      tools = div("tools");
      tools.append(control("move", "", "M8 2v12M2 8h12M8 2 6 4M8 2l2 2M8 14l-2-2M8 14l2-2M2 8l2-2M2 8l2 2M14 8l-2-2M14 8l-2 2"));
      tools.append(...ACTS.map(([act, , path]) => control(act, "", path)));
      element.querySelector("header").append(tools);
      element.append(control("size", "", "M14 6 6 14M14 10.5 10.5 14"));
    }
    const called = (act, words) => (element.querySelector(`[data-act="${act}"]`).ariaLabel = `${words} ${name}`);
    called("move", "Move");
    called("size", "Resize");
    for (const [act, words] of ACTS) called(act, words);
  }

  handle(id) {
    return this.root.querySelector(`[data-id="${id}"] [data-act="move"]`);
  }

  #begin(event) {
    const { board } = this.editor;
    if (!board.isEdited || event.button !== 0) return;
    const element = event.target.closest(".tile");
    const act = event.target.closest("[data-act]")?.dataset.act;
    const isSize = act === "size";
    if (!element || !(isSize || act === "move" || (!act && event.target.closest(".tile > header, .tile.words > .prose")))) return;
    event.preventDefault();
    event.target.closest("[data-act]")?.focus({ preventScroll: true });
    const panel = board.document.panels.find((one) => one.id === element.dataset.id);
    const shadow = this.root.appendChild(div("shadow"));
    this.drag = { id: panel.id, panel, isSize, element, shadow, x: event.clientX, y: event.clientY + scrollY, before: board.document.panels, box: element.getBoundingClientRect() };
    element.classList.add("dragged");
    this.root.setPointerCapture(event.pointerId);
    this.#follow(event);
  }

  #move(event) {
    if (!this.drag) return;
    this.latest = event;
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      if (this.drag) this.#follow(this.latest);
    });
  }

  #follow({ clientX, clientY }) {
    const { drag } = this;
    const [dx, dy] = [clientX - drag.x, clientY + scrollY - drag.y];
    const cell = this.#cell();
    const [columns, lines] = [Math.round(dx / cell.x), Math.round(dy / cell.y)];
    const { x, y, w, h } = drag.panel;
    const wanted = drag.isSize ? { ...drag.panel, w: Math.min(Math.max(w + columns, 1), COLUMNS - x), h: h + lines } : { ...drag.panel, x: x + columns, y: y + lines };
    const key = [wanted.x, wanted.y, wanted.w, wanted.h].join();
    if (key !== drag.key) {
      Object.assign(drag, { key, arranged: place(drag.before, wanted) });
      this.#preview(drag.arranged);
    }
    this.#float(drag, dx, dy);
    this.#scroll(clientY);
  }

  /** Where everything would lie; the dragged one's place is shown by its shadow. */
  #preview(arranged) {
    for (const panel of arranged) {
      const element = panel.id === this.drag.id ? this.drag.shadow : this.editor.board.tiles.get(panel.id).element;
      for (const name of ["x", "y", "w", "h"]) element.style.setProperty(`--${name}`, panel[name]);
    }
  }

  /** The dragged panel itself stays under the pointer, wherever its place on the grid is. */
  #float({ element, isSize, box, shadow }, dx, dy) {
    const root = this.root.getBoundingClientRect();
    element.style.setProperty("--left", `${box.left - root.left + (isSize ? 0 : dx)}px`);
    element.style.setProperty("--top", `${this.#top(box, root) + (isSize ? 0 : dy)}px`);
    element.style.setProperty("--wide", `${Math.max(box.width + (isSize ? dx : 0), 40)}px`);
    element.style.setProperty("--high", `${Math.max(box.height + (isSize ? dy : 0), 30)}px`);
    shadow.hidden = false;
  }

  #top(box, root) {
    this.drag.topAtFirst ??= box.top - root.top;
    return this.drag.topAtFirst;
  }

  #scroll(clientY) {
    const by = clientY < EDGE_PX ? clientY - EDGE_PX : clientY > innerHeight - EDGE_PX ? clientY - innerHeight + EDGE_PX : 0;
    clearTimeout(this.scrolling);
    if (!by) return;
    scrollBy(0, by / 3);
    this.scrolling = setTimeout(() => this.drag && this.#follow(this.latest ?? { clientX: this.drag.x, clientY }), 16);
  }

  #end(isKept) {
    const { drag } = this;
    if (!drag) return;
    this.drag = null;
    this.latest = null;
    clearTimeout(this.scrolling);
    drag.shadow.remove();
    drag.element.classList.remove("dragged");
    for (const name of ["left", "top", "wide", "high"]) drag.element.style.removeProperty(`--${name}`);
    const { board } = this.editor;
    if (isKept && drag.arranged) this.editor.arrange(drag.arranged);
    board.show();
  }

  #cell() {
    const { rowGap, columnGap, gridAutoRows } = getComputedStyle(this.root);
    return { x: (this.root.clientWidth + parseFloat(columnGap)) / COLUMNS, y: parseFloat(gridAutoRows) + parseFloat(rowGap) };
  }

  #key(event) {
    const { editor } = this;
    const element = event.target.closest(".tile");
    if (!editor.board.isEdited || !element) return;
    if (event.key === "Escape" && this.drag) return this.#end(false);
    const act = event.target.dataset?.act;
    const step = STEP[event.key];
    if (step && (act === "move" || act === "size")) {
      event.preventDefault();
      this.#step(element.dataset.id, step, act === "size" || event.shiftKey);
    } else if (act === "move" && event.key === "Delete") editor.remove(element.dataset.id);
    else if (act === "move" && event.key === "Enter") {
      event.preventDefault();
      editor.edit(element.dataset.id);
    }
  }

  #step(id, [dx, dy], isSize) {
    const { editor } = this;
    const { panels } = editor.board.document;
    const panel = panels.find((one) => one.id === id);
    if (isSize) editor.put({ ...panel, w: Math.min(panel.w + dx, COLUMNS - panel.x), h: panel.h + dy }, `size ${id}`);
    else editor.put({ ...panel, x: panel.x + dx, y: panel.y + (dy > 0 ? leap(panels, panel) : dy) }, `move ${id}`);
    const now = editor.board.document.panels.find((one) => one.id === id);
    const words = isSize ? `${now.w} columns wide, ${now.h} rows high` : `column ${now.x + 1}, row ${now.y + 1}`;
    document.getElementById("announce").textContent = words;
    this.root.querySelector(`[data-id="${id}"]`).scrollIntoView({ block: "nearest" });
  }

  #press(event) {
    const act = event.target.closest("[data-act]")?.dataset.act;
    const id = event.target.closest(".tile")?.dataset.id;
    if (this.editor.board.isEdited && ["edit", "duplicate", "remove"].includes(act)) this.editor[act](id);
  }
}

/** How far down the keyboard moves a panel: past the half of what lies below it, or it would only be pulled up again. */
function leap(panels, panel) {
  const below = panels.filter((one) => one.y >= panel.y + panel.h && one.x < panel.x + panel.w && panel.x < one.x + one.w);
  const next = below.sort((a, b) => a.y - b.y)[0];
  return next ? next.y - panel.y - panel.h + Math.floor(next.h / 2) + 1 : 1;
}

function div(name) {
  const element = document.createElement("div");
  element.className = name;
  return element;
}

function control(act, words, path) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: `quiet icon ${act}` });
  button.dataset.act = act;
  const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [name, value] of Object.entries({ viewBox: "0 0 16 16", fill: "none", stroke: "currentColor", "stroke-width": "1.25", "aria-hidden": "true" })) icon.setAttribute(name, value);
  icon.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "path")).setAttribute("d", path);
  button.append(icon);
  return button;
}
