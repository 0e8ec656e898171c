// The wall: nothing but the panels, as large as the screen allows, for as long as the page is open.
import { rows } from "./grid.js";

const LEAST_ROW_PX = 22;
const STILL_MS = 3000;

export class Wall {
  constructor(board) {
    this.board = board;
    this.leaver = document.getElementById("leave-wall");
    document.getElementById("wall").addEventListener("click", () => this.enter());
    this.leaver.addEventListener("click", () => this.leave());
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.isOn && this.leave());
    document.addEventListener("fullscreenchange", () => this.isOn && !document.fullscreenElement && this.wasFull && this.leave());
    document.addEventListener("pointermove", () => this.isOn && this.#showPointer());
    addEventListener("resize", () => this.fit());
    if (new URLSearchParams(location.search).has("wall")) this.#begin();
  }

  get isOn() {
    return document.documentElement.classList.contains("wall");
  }

  toggle() {
    this.isOn ? this.leave() : this.enter();
  }

  async enter() {
    this.#begin();
    this.#remember("1");
    try {
      await document.documentElement.requestFullscreen();
      this.wasFull = true;
    } catch {
      this.wasFull = false; // a browser may refuse; the page without its frame is a wall too
    }
  }

  leave() {
    if (!this.isOn) return;
    document.documentElement.classList.remove("wall", "still");
    this.leaver.hidden = true;
    this.wasFull = false;
    if (document.fullscreenElement) document.exitFullscreen();
    this.#remember(null);
    this.fit();
  }

  /** All rows on the screen, unless they would be too low to read. */
  fit() {
    const { element, document: shown } = this.board;
    const count = rows(shown.panels);
    if (!this.isOn || !count) return element.style.removeProperty("--row");
    const gap = parseFloat(getComputedStyle(element).rowGap) || 0;
    const free = innerHeight - element.getBoundingClientRect().top - scrollY - gap;
    const row = (free - (count - 1) * gap) / count;
    element.style.setProperty("--row", `${Math.max(row, LEAST_ROW_PX)}px`);
  }

  #begin() {
    document.documentElement.classList.add("wall");
    this.leaver.hidden = false;
    requestAnimationFrame(() => this.fit());
    this.#showPointer();
  }

  #showPointer() {
    document.documentElement.classList.remove("still");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.isOn && document.documentElement.classList.add("still"), STILL_MS);
  }

  /** In the address, so that a screen that starts anew comes back to its wall. */
  #remember(value) {
    const url = new URL(location.href);
    value === null ? url.searchParams.delete("wall") : url.searchParams.set("wall", value);
    history.replaceState(history.state, "", url);
  }
}
