// A delivery that is under way: look again until something came of it, slower with time. Without this one reloads.
const FIRST_MS = 500;
const LONGEST_MS = 10_000;
let pause = FIRST_MS;

const waits = () => document.getElementById("delivery")?.dataset.state === "owed";

async function look() {
  if (document.hidden) return void setTimeout(look, pause);
  try {
    const answer = await fetch(location.pathname, { headers: { accept: "text/html" } });
    if (answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("delivery");
      if (fresh) document.getElementById("delivery").replaceWith(fresh);
    }
  } catch {
    // the server is away for a moment; the next look finds it
  }
  pause = Math.min(pause * 1.5, LONGEST_MS);
  if (waits()) setTimeout(look, pause);
}

if (waits()) setTimeout(look, pause);
