// Suggestions below a field, as the ARIA combobox pattern has them: arrows, Enter, Escape, the pointer.
const PAUSE_MS = 120;
let count = 0;

/**
 * input   a text field
 * find    (text) → promise of [{value, label?, detail?}], the likeliest first
 * onPick  (value) when one is taken; it may write to the field and call `ask` for more
 *
 * Returns {ask, close}.
 */
export function suggest(input, { find, onPick }) {
  const list = document.createElement("ul");
  const state = { found: [], at: -1, asked: 0, timer: 0 };
  list.id = `suggestions-${(count += 1)}`;
  list.className = "suggestions";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Suggestions");
  list.hidden = true;
  for (const [name, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id })) input.setAttribute(name, value);
  const holder = input.closest("label") ?? input.parentElement;
  holder.after(list);

  const close = () => {
    clearTimeout(state.timer);
    state.asked += 1;
    state.at = -1;
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const ask = (pauseMs = 0) => {
    clearTimeout(state.timer);
    state.timer = setTimeout(async () => {
      const asked = (state.asked += 1);
      try {
        const found = await find(input.value.trim());
        if (asked === state.asked && document.activeElement === input) show(found);
      } catch {
        close(); // the server is away; the graph says so
      }
    }, pauseMs);
  };
  const show = (found) => {
    state.found = found;
    state.at = -1;
    input.removeAttribute("aria-activedescendant");
    list.replaceChildren(...found.map((one, i) => option(one, `${list.id}-${i}`)));
    list.hidden = !found.length;
    list.style.left = `${holder.offsetLeft}px`;
    list.style.top = `${holder.offsetTop + holder.offsetHeight + 4}px`;
    input.setAttribute("aria-expanded", String(found.length > 0));
  };
  const move = (by) => {
    if (list.hidden) return ask();
    state.at = (state.at + by + state.found.length + 1) % (state.found.length + 1);
    if (state.at === state.found.length) state.at = by > 0 ? 0 : state.found.length - 1;
    [...list.children].forEach((item, i) => item.setAttribute("aria-selected", String(i === state.at)));
    const item = list.children[state.at];
    input.setAttribute("aria-activedescendant", item.id);
    item.scrollIntoView({ block: "nearest" });
  };
  const take = (i) => {
    const { value } = state.found[i];
    close();
    onPick(value);
  };

  input.addEventListener("input", () => ask(PAUSE_MS));
  input.addEventListener("focus", () => ask());
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    const way = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (way) {
      event.preventDefault();
      move(way);
    } else if (event.key === "Enter" && !list.hidden && state.at >= 0) {
      event.preventDefault();
      event.stopImmediatePropagation();
      take(state.at);
    } else if (event.key === "Enter") {
      close(); // what was typed is what is meant
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      event.stopImmediatePropagation();
      close();
    }
  });
  list.addEventListener("pointerdown", (event) => event.preventDefault()); // the field keeps the focus
  list.addEventListener("click", (event) => {
    const item = event.target.closest("[role=option]");
    if (item) take([...list.children].indexOf(item));
  });
  return { ask, close };
}

function option({ value, label = value, detail = "" }, id) {
  const item = document.createElement("li");
  item.id = id;
  item.setAttribute("role", "option");
  item.setAttribute("aria-selected", "false");
  item.append(part("span", label), part("small", detail));
  return item;
}

function part(tag, words) {
  return Object.assign(document.createElement(tag), { textContent: words });
}
