// Editing a dashboard: every change is a new document, so that it can be undone; saving says which revision it began with.
import { isTyping } from "./app.js";
import { Mover } from "./board_move.js";
import { place, room, settle } from "./grid.js";
import { PanelEditor } from "./panel_editor.js";
import { same } from "./same.js";
import { SettingsEditor } from "./settings_editor.js";

const UNDO_MOST = 100;
const NEW = {
  graph: { w: 6, h: 6, title: "", graph: { queries: [], formulas: [], shift: [], kind: "lines", log: false, unit: null, thresholds: [] } },
  text: { w: 4, h: 4, title: "", text: "" },
};
const bar = document.getElementById("edit-bar");
const conflict = document.getElementById("conflict");
const button = (name) => bar.querySelector(`[data-${name}]`);

export class Editor {
  constructor(board, boardBar) {
    Object.assign(this, { board, boardBar });
    this.panels = new PanelEditor((panel) => this.replace(panel), board);
    this.settings = new SettingsEditor((changes) => this.change({ ...board.document, ...changes }, "settings"));
    this.mover = new Mover(this);
    for (const kind of Object.keys(NEW)) bar.querySelector(`[data-add="${kind}"]`).addEventListener("click", () => this.add(kind));
    button("settings").addEventListener("click", () => this.settings.open(board.document));
    button("undo").addEventListener("click", () => this.undo());
    button("redo").addEventListener("click", () => this.redo());
    button("save").addEventListener("click", () => this.save());
    button("discard").addEventListener("click", () => this.discard());
    addEventListener("beforeunload", (event) => this.isChanged && event.preventDefault());
    document.addEventListener("keydown", (event) => this.#key(event));
  }

  begin() {
    const { board } = this;
    board.isEdited = true;
    this.saved = board.document;
    this.past = [];
    this.future = [];
    document.documentElement.classList.add("editing");
    bar.hidden = false;
    document.getElementById("edit").hidden = true;
    this.#show();
    for (const tile of board.tiles.values()) tile.retitle();
    bar.querySelector("[data-add]").focus({ preventScroll: true });
  }

  end() {
    this.board.isEdited = false;
    document.documentElement.classList.remove("editing");
    bar.hidden = true;
    document.getElementById("edit").hidden = false;
    for (const tile of this.board.tiles.values()) tile.retitle();
    const url = new URL(location.href);
    url.searchParams.delete("edit");
    history.replaceState(history.state, "", url);
    document.getElementById("edit").focus({ preventScroll: true });
  }

  get isChanged() {
    return this.board.isEdited && !same(this.board.document, this.saved);
  }

  /** Take a changed document; changes of one kind in a row, such as letters of a title, are undone as one. */
  change(changed, kind = "") {
    if (same(changed, this.board.document)) return;
    if (!kind || kind !== this.lastKind) this.past = [...this.past, this.board.document].slice(-UNDO_MOST);
    this.lastKind = kind;
    this.future = [];
    this.#take(changed);
  }

  arrange(panels, kind) {
    this.change({ ...this.board.document, panels }, kind);
  }

  /** One panel changed. */
  replace(panel) {
    this.arrange(this.board.document.panels.map((one) => (one.id === panel.id ? panel : one)), `panel ${panel.id}`);
  }

  add(type) {
    const { panels } = this.board.document;
    if (panels.length >= this.board.told.limits.panels) return this.#announce(`A dashboard has at most ${panels.length} panels`);
    const { w, h } = NEW[type];
    const panel = { type, id: freshId(), ...structuredClone(NEW[type]), ...room(panels, w, h) };
    this.arrange([...panels, panel]);
    this.edit(panel.id);
  }

  edit(id) {
    this.lastKind = "";
    this.board.tiles.get(id).element.scrollIntoView({ block: "nearest" });
    this.panels.open(this.board.document.panels.find((panel) => panel.id === id));
  }

  duplicate(id) {
    const { panels } = this.board.document;
    const copied = panels.find((panel) => panel.id === id);
    if (panels.length >= this.board.told.limits.panels) return;
    const made = { ...structuredClone(copied), id: freshId(), ...room(panels, copied.w, copied.h) };
    this.arrange([...panels, made]);
    this.board.tiles.get(made.id).element.scrollIntoView({ block: "nearest" });
    this.mover.handle(made.id)?.focus();
  }

  remove(id) {
    const name = this.board.tiles.get(id).name;
    this.arrange(settle(this.board.document.panels.filter((panel) => panel.id !== id)));
    this.#announce(`${name} is removed; Undo brings it back`);
    button("undo").focus();
  }

  /** Put a panel somewhere else, or make it another size; the others make room. */
  put(wanted, kind = "") {
    this.arrange(place(this.board.document.panels, wanted), kind);
  }

  undo() {
    if (!this.past.length) return;
    this.future.push(this.board.document);
    this.#take(this.past.pop());
  }

  redo() {
    if (!this.future.length) return;
    this.past.push(this.board.document);
    this.#take(this.future.pop());
  }

  async save() {
    const { board } = this;
    if (!this.isChanged) return this.end();
    this.#refuse("");
    button("save").disabled = true;
    try {
      const { version } = await board.ask("", { version: board.version, document: board.document });
      board.version = version;
      this.saved = board.document;
      this.#announce(`Saved as revision ${version}`);
      this.end();
      board.open();
    } catch (error) {
      if (error.told?.version) this.#askWhatNow(error.told);
      else this.#refuse(error.message);
    } finally {
      button("save").disabled = false;
    }
  }

  discard() {
    if (this.isChanged && !confirm("Throw away what you changed since the last save?")) return;
    this.#take(this.saved);
    this.end();
  }

  /** Someone was faster: over it, as a copy, or on with editing. */
  #askWhatNow({ detail, version }) {
    conflict.querySelector("[data-detail]").textContent = `${detail}.`;
    conflict.returnValue = "";
    conflict.showModal();
    conflict.addEventListener(
      "close",
      () => {
        if (conflict.returnValue === "over") {
          this.board.version = version;
          this.save();
        } else if (conflict.returnValue === "copy") this.#saveCopy();
      },
      { once: true },
    );
  }

  async #saveCopy() {
    const form = new FormData();
    form.set("text", JSON.stringify({ ...this.board.document, title: `${this.board.document.title} (mine)`.slice(0, 100) }));
    const answer = await fetch("/dashboards/import", { method: "POST", body: form }).catch(() => null);
    if (!answer?.redirected) return this.#refuse("The copy could not be saved. Try again.");
    this.saved = this.board.document;
    location.assign(answer.url);
  }

  #take(changed) {
    this.board.show(changed);
    this.#show();
    this.board.retell();
  }

  #show() {
    for (const [id, tile] of this.board.tiles) this.mover.equip(id, tile);
    button("undo").disabled = !this.past.length;
    button("redo").disabled = !this.future.length;
    button("save").classList.toggle("changed", this.isChanged);
  }

  #refuse(detail) {
    let words = bar.querySelector(".notice");
    words ??= Object.assign(bar.appendChild(document.createElement("p")), { className: "notice", role: "alert" });
    words.hidden = !detail;
    words.textContent = detail;
  }

  #announce(words) {
    document.getElementById("announce").textContent = words;
  }

  #key(event) {
    if (!this.board.isEdited || !(event.ctrlKey || event.metaKey)) return;
    const key = event.key.toLowerCase();
    if (key === "s") {
      event.preventDefault();
      this.save();
    } else if (key === "z" && !isTyping(event.target)) {
      event.preventDefault();
      event.shiftKey ? this.redo() : this.undo();
    }
  }
}

const freshId = () => Array.from(crypto.getRandomValues(new Uint8Array(5)), (byte) => byte.toString(16).padStart(2, "0")).join("");
