// A textarea that shows line numbers, colours and the line that is wrong: what is seen is a sheet beneath it.
import { tokens } from "./lua_tokens.js";

/** Dress a textarea within `sheet`, which has .gutter, .paper and .paint. */
export function dress(sheet, area) {
  const gutter = sheet.querySelector(".gutter");
  const paint = sheet.querySelector(".paint");
  let wrongLine = 0;

  function draw() {
    const lines = area.value.split("\n").length;
    const numbers = [];
    for (let line = 1; line <= lines; line++) {
      const number = document.createElement("span");
      number.textContent = line;
      if (line === wrongLine) number.className = "wrong";
      numbers.push(number);
    }
    gutter.replaceChildren(...numbers);
    paint.replaceChildren(...painted(area.value, wrongLine), "\n");
  }

  sheet.classList.add("is-painted");
  area.addEventListener("input", draw);
  area.addEventListener("keydown", (event) => typed(event, area));
  draw();
  return {
    /** Mark a line; 0 marks none. */
    mark(line) {
      if (line === wrongLine) return;
      wrongLine = line;
      draw();
    },
    /** Bring a line into sight. */
    show(line) {
      gutter.children[line - 1]?.scrollIntoView({ block: "nearest" });
    },
  };
}

function painted(script, wrongLine) {
  const nodes = [];
  let line = 1;
  for (const [kind, text] of tokens(script)) {
    const parts = text.split("\n");
    parts.forEach((part, place) => {
      if (place > 0) {
        nodes.push("\n");
        line += 1;
      }
      if (part === "") return;
      const span = document.createElement("span");
      span.textContent = part;
      span.className = [kind && `t-${kind}`, line === wrongLine && "wrong"].filter(Boolean).join(" ");
      nodes.push(span);
    });
  }
  return nodes;
}

let leaves = false; // Esc lets the next Tab leave, so that nobody is caught in the editor

function typed(event, area) {
  if (event.key === "Escape") {
    leaves = true;
    return;
  }
  const mayLeave = leaves;
  leaves = false;
  if (event.key === "Tab" && !event.shiftKey && !mayLeave) {
    event.preventDefault();
    put(area, "  ");
  } else if (event.key === "Enter" && !event.ctrlKey && !event.metaKey && !event.isComposing) {
    event.preventDefault();
    const before = area.value.slice(0, area.selectionStart);
    const line = before.slice(before.lastIndexOf("\n") + 1);
    const deeper = /(?:\bthen|\bdo|\belse|\brepeat|\bfunction\b.*\)|[{(])\s*$/.test(line) ? "  " : "";
    put(area, `\n${line.match(/^\s*/)[0]}${deeper}`);
  }
}

function put(area, text) {
  // The old way, as it is the one that the browser's undo knows.
  if (!document.execCommand("insertText", false, text)) area.setRangeText(text, area.selectionStart, area.selectionEnd, "end");
  area.dispatchEvent(new Event("input", { bubbles: true }));
}
