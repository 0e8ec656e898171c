// What every page does: the theme button, ages that tick, snippets that copy themselves, `/` to the filter, `?` for keys.
import { toggleTheme } from "./choices.js";
import { tick } from "./clock.js";

document.getElementById("theme")?.addEventListener("click", toggleTheme);
tick();
setInterval(() => document.hidden || tick(), 1000);

async function showKeys() {
  const { showKeys: show } = await import("./keys_help.js");
  show();
}

document.addEventListener("click", async (event) => {
  if (event.target.closest("[data-keys]")) return showKeys();
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const text = button.parentElement.querySelector("pre");
  try {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 2000);
  } catch {
    getSelection().selectAllChildren(text); // plain http on another host has no clipboard
  }
});

document.addEventListener("keydown", (event) => {
  if (!["/", "?"].includes(event.key) || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (event.key === "?") return showKeys();
  const filter = document.querySelector("[data-filter]");
  if (!filter) return;
  event.preventDefault();
  filter.focus();
  filter.select();
});

export function isTyping(target) {
  return target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable]");
}
