// The form of a webhook: its template is shown when it is chosen, and tried on an example while one writes.
const PAUSE_MS = 500;
const own = document.getElementById("own");

if (own) {
  const { form } = own;
  const tried = document.getElementById("tried");
  const source = form.elements.template;
  const isOwn = () => form.elements.body.value === "template";
  let waiting = 0;
  let asked = new AbortController();

  const choose = () => {
    own.hidden = !isOwn();
    if (isOwn()) look();
  };
  const look = () => {
    clearTimeout(waiting);
    asked.abort();
    waiting = setTimeout(attempt, PAUSE_MS);
  };
  const attempt = async () => {
    asked = new AbortController();
    try {
      const body = new FormData(form);
      const answer = await fetch("/channels/preview", { method: "POST", body, headers: { "x-part": "tried" }, signal: asked.signal });
      if (answer.status === 401) return location.reload();
      if (answer.ok) show(await answer.text());
    } catch (error) {
      if (error.name !== "AbortError") tried.textContent = "The server does not answer just now; the next change asks again.";
    }
  };
  const show = (text) => {
    const part = new DOMParser().parseFromString(text, "text/html").querySelector(".tried");
    tried.replaceChildren(part);
    const line = Number(part.dataset.line);
    source.setAttribute("aria-invalid", String(Boolean(part.querySelector(".problem"))));
    source.setCustomValidity("");
    if (line) markLine(part, line);
  };
  /** The line that is wrong, as it stands in the template, under what is wrong with it. */
  const markLine = (part, line) => {
    const text = source.value.split("\n")[line - 1];
    if (text === undefined) return;
    const shown = document.createElement("pre");
    shown.textContent = `${line}  ${text}`;
    part.querySelector(".problem").after(shown);
  };

  form.addEventListener("change", (event) => event.target.name === "body" && choose());
  own.addEventListener("input", look);
  form.querySelector("[formaction]").addEventListener("click", (event) => {
    event.preventDefault();
    attempt();
  });
  choose();
}
