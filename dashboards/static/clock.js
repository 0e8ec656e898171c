// The server's clock as this page knows it, and everything on the page that tells an age.
import { ago } from "./format.js";

const rendered = Number(document.querySelector('meta[name="metrist-now"]')?.content);
let offsetS = Number.isFinite(rendered) && rendered > 0 ? rendered - Date.now() / 1000 : 0;

export const nowS = () => Date.now() / 1000 + offsetS;

/** Learn the server's time from a message; a small difference is only the network's. */
export function learn(serverS) {
  if (Math.abs(serverS - nowS()) > 2) offsetS = serverS - Date.now() / 1000;
}

/** Make an element tell the age of an instant (Unix seconds), from now on by itself. */
export function tellAge(element, instantS) {
  element.dataset.ago = instantS ?? "";
  write(element, nowS());
}

export function tick(root = document) {
  const now = nowS();
  for (const element of root.querySelectorAll("[data-ago]")) write(element, now);
}

function write(element, now) {
  const instant = element.dataset.ago;
  const words = ago(instant === "" ? null : now - Number(instant));
  if (element.textContent !== words) element.textContent = words;
}
