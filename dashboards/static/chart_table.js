// The lines of a graph as a table: name, last, least, mean and most; its heads sort, its names pick.
import { number } from "./format.js";
import { summary } from "./chart_lines.js";

const COLUMNS = [["name", "Line"], ["last", "Last"], ["min", "Min"], ["avg", "Mean"], ["max", "Max"]];
const names = new Intl.Collator("en", { numeric: true });

export class LineTable {
  #sort = { by: null, isDown: true };
  #heads = new Map();

  constructor(chart) {
    this.chart = chart;
    this.element = document.createElement("table");
    this.element.className = "line-table";
    const head = this.element.createTHead().insertRow();
    for (const [key, title] of COLUMNS) head.append(this.#head(key, title));
    this.body = this.element.createTBody();
  }

  show(lines, unit) {
    this.lines = lines;
    this.unit = unit;
    this.#fill();
  }

  /** Which row a line is in. */
  place(line) {
    return this.rows.indexOf(line);
  }

  #head(key, title) {
    const cell = document.createElement("th");
    cell.scope = "col";
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: title });
    button.addEventListener("click", () => {
      const isSame = this.#sort.by === key;
      this.#sort = { by: key, isDown: isSame ? !this.#sort.isDown : key !== "name" };
      this.#fill();
    });
    cell.append(button);
    this.#heads.set(key, cell);
    return cell;
  }

  #fill() {
    const told = new Map(this.lines.map((line) => [line, summary(line)]));
    const { by, isDown } = this.#sort;
    const way = isDown ? -1 : 1;
    const value = (line) => told.get(line)[by] ?? -Infinity;
    this.rows = [...this.lines];
    if (by === "name") this.rows.sort((a, b) => way * names.compare(a.name, b.name));
    else if (by) this.rows.sort((a, b) => way * (value(a) - value(b)) || 0);
    for (const [key, cell] of this.#heads) {
      if (key === by) cell.setAttribute("aria-sort", isDown ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
    this.body.replaceChildren(...this.rows.map((line) => this.#row(line, told.get(line))));
  }

  #row(line, told) {
    const row = document.createElement("tr");
    row.className = line.css;
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", String(!line.isHidden));
    button.append(Object.assign(document.createElement("i"), { className: "swatch" }), Object.assign(document.createElement("span"), { className: "name", textContent: line.name }));
    button.title = Object.entries(line.labels).map(([key, value]) => `${key}=${value}`).join(", ");
    button.addEventListener("click", (event) => this.chart.pick(line, event.shiftKey));
    row.insertCell().append(button);
    for (const key of ["last", "min", "avg", "max"]) {
      const cell = row.insertCell();
      cell.textContent = number(told[key], this.unit);
      if (key === "last") line.cell = cell;
    }
    return row;
  }
}
