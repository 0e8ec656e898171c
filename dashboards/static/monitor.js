// A monitor's page: its rollout and its nodes are read anew every few seconds, as long as somebody looks.

const EVERY_MS = 3000;
const state = document.getElementById("state");
let shown = "";

async function look() {
  if (document.hidden || state.querySelector("details[open]")) return;
  try {
    const answer = await fetch(state.dataset.part, { headers: { accept: "text/html" } });
    if (!answer.ok) return;
    const html = await answer.text();
    if (html === shown || state.contains(document.activeElement)) return;
    shown = html;
    state.innerHTML = html;
    if (!state.querySelector('[data-moving="true"]')) document.querySelector(".notice.good")?.remove(); // old news
  } catch {
    // away for a moment; the next look may find it
  }
}

setInterval(look, EVERY_MS);
document.addEventListener("visibilitychange", look);
