// A field of several words: each a chip that can be taken away, and a place to type the next.
import { suggest } from "./suggest.js";

export class Chips {
  #values = [];

  /**
   * field     an empty element
   * label     what the field is for
   * find      as of suggest
   * check     (text) → null when it may be a chip, else what is wrong
   * isWhole   (suggestion) → whether it is one already, or only its beginning
   * onChange  (values)
   */
  constructor(field, { label, placeholder = "", find, check = () => null, isWhole = () => true, onChange }) {
    Object.assign(this, { field, check, onChange, label });
    this.list = document.createElement("span");
    this.list.className = "chips";
    this.input = document.createElement("input");
    Object.assign(this.input, { placeholder, autocomplete: "off", spellcheck: false, maxLength: 400 });
    this.input.setAttribute("aria-label", label);
    field.append(this.list, this.input);
    this.suggestions = suggest(this.input, { find, onPick: (text) => this.#pick(text, isWhole(text)) });
    this.input.addEventListener("keydown", (event) => this.#press(event));
    this.input.addEventListener("blur", () => this.add());
    this.input.addEventListener("input", () => this.input.setCustomValidity(""));
    field.addEventListener("click", (event) => event.target === field && this.input.focus());
  }

  get values() {
    return [...this.#values];
  }

  set values(values) {
    this.#values = [...values];
    this.list.replaceChildren(...values.map((value, i) => this.#chip(value, i)));
  }

  /** Make a chip of what is typed; false when it can be none. */
  add() {
    const text = this.input.value.trim();
    if (!text) return true;
    const wrong = this.check(text);
    this.input.setCustomValidity(wrong ?? "");
    if (wrong) {
      this.input.reportValidity();
      return false;
    }
    this.input.value = "";
    if (!this.#values.includes(text)) this.#change([...this.#values, text]);
    return true;
  }

  #pick(text, isWhole) {
    this.input.value = text;
    if (isWhole) this.add();
    this.suggestions.ask();
  }

  #press(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      if (this.add()) this.suggestions.close();
    } else if (event.key === "Backspace" && !this.input.value && this.#values.length) {
      this.#change(this.#values.slice(0, -1));
    }
  }

  #change(values) {
    this.values = values;
    this.onChange(this.values);
  }

  #chip(value, i) {
    const chip = document.createElement("button");
    chip.type = "button";
    chip.className = "chip";
    chip.textContent = value;
    chip.setAttribute("aria-label", `${this.label}: remove ${value}`);
    chip.title = "Remove";
    chip.addEventListener("click", () => {
      this.#change(this.#values.filter((_, k) => k !== i));
      this.input.focus();
    });
    return chip;
  }
}
