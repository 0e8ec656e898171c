// Keep a part of a page current: ask for it now and then, and put in what is new. Nobody who writes is disturbed.
import { tick } from "./clock.js";

const EVERY_MS = 2000;
const AWAY_MS = 10000;

/**
 * address  answers with the part as HTML, and with 304 to its own ETag
 * element  what is replaced inside
 */
export function keepFresh(address, element) {
  let tag = null;
  const isBusy = () => element.contains(document.activeElement) && document.activeElement.matches("input, textarea, [popover] *");
  const look = async () => {
    let pauseMs = EVERY_MS;
    try {
      if (!document.hidden && !isBusy()) tag = await take(address, element, tag);
    } catch {
      pauseMs = AWAY_MS; // the server is away: what is shown stays, and its ages tell how old it is
    }
    setTimeout(look, pauseMs);
  };
  setTimeout(look, EVERY_MS);
  document.addEventListener("visibilitychange", () => document.hidden || take(address, element, tag).then((found) => (tag = found), () => {}));
}

async function take(address, element, tag) {
  const answer = await fetch(address, { headers: { accept: "text/html", ...(tag ? { "if-none-match": tag } : {}) } });
  if (answer.status === 401) location.reload();
  if (answer.status === 304 || !answer.ok) return tag;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById(element.id) ?? page.body;
  if (fresh.innerHTML !== element.innerHTML) element.replaceChildren(...fresh.childNodes);
  tick(element);
  return answer.headers.get("etag");
}
