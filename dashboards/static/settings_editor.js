// The form of the dashboard itself: its title, the range it opens with, its variables.
import { offer } from "./board_offer.js";
import { asValue } from "./variable_menu.js";

const dialog = document.getElementById("settings-editor");
const form = dialog.querySelector("form");
const list = form.querySelector("[data-variables-list]");

export class SettingsEditor {
  /** onChange  ({title, range, events, variables}) with every change that makes sense */
  constructor(onChange) {
    this.onChange = onChange;
    form.addEventListener("change", () => this.#take());
    form.addEventListener("click", (event) => this.#press(event.target.closest("button")));
    dialog.addEventListener("close", () => this.#take());
    offer(form);
  }

  open({ title, range, events = true, variables }) {
    form.elements.events.checked = events;
    form.elements.title.value = title;
    if (![...form.elements.range.options].some((one) => one.value === range)) form.elements.range.add(new Option(range));
    form.elements.range.value = range;
    list.replaceChildren(...variables.map(variableRow));
    if (!dialog.open) dialog.show();
    form.elements.title.focus();
  }

  #press(button) {
    if (!button) return;
    if (button.dataset.more) {
      const row = variableRow({ name: "", label: "", value: "" });
      list.append(row);
      row.querySelector("input").focus();
    }
    if ("remove" in button.dataset) {
      button.closest("[role=group]").remove();
      this.#take();
    }
  }

  #take() {
    const title = form.elements.title.value.trim().replace(/\s+/g, " ");
    const variables = [...list.children].map(variableOf).filter(({ name, label }) => name && label);
    if (title) this.onChange({ title, range: form.elements.range.value, events: form.elements.events.checked, variables });
  }
}

function variableRow(variable) {
  const row = document.getElementById("variable-row").content.firstElementChild.cloneNode(true);
  for (const [name, value] of Object.entries(variable)) row.querySelector(`[name=${name}]`).value = [value].flat().join(", ");
  row.setAttribute("aria-label", `Variable ${variable.name}`);
  return row;
}

function variableOf(row) {
  const value = (name) => row.querySelector(`[name=${name}]`).value.trim();
  return { name: value("name"), label: value("label"), value: asValue(value("value").split(",").map((one) => one.trim()).filter(Boolean)) };
}
