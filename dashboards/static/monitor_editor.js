// The editor of a monitor: errors at their line as one types, the nodes of the target, and runs to try it.
import { dress } from "./code.js";

const CHECK_AFTER_MS = 350;
const POLL_MS = 1000;
const form = document.getElementById("monitor");
const script = document.getElementById("script");
const says = document.getElementById("script-says");
const tried = document.getElementById("tried");
const target = document.getElementById("target");
const fields = document.getElementById("parameters");
const sheet = form.querySelector(".sheet-of-code");
const usual = says.innerHTML;
const code = dress(sheet, script);
code.mark(Number(sheet.dataset.wrongLine));

/** Call `work` when nothing has happened for a while; a newer call ends the older one's request. */
function lately(work, afterMs = CHECK_AFTER_MS) {
  let timer = 0;
  let stop = new AbortController();
  return () => {
    clearTimeout(timer);
    stop.abort();
    stop = new AbortController();
    const { signal } = stop;
    timer = setTimeout(() => work(signal).catch(ignoreAbort), afterMs);
  };
}

function ignoreAbort(error) {
  if (error.name !== "AbortError") console.warn(error);
}

async function post(address, body, signal) {
  const answer = await fetch(address, { method: "POST", body, signal, headers: { "x-part": "1", accept: "text/html, application/json" } });
  if (answer.status === 401) location.assign("/sign-in");
  return answer;
}

function tell(text, line) {
  says.toggleAttribute("data-wrong", Boolean(text));
  if (text) says.textContent = line ? `Line ${line}: ${text}` : text;
  else says.innerHTML = usual;
  code.mark(line || 0);
}

const check = lately(async (signal) => {
  const answer = await post("/monitors/check", new URLSearchParams({ script: script.value }), signal);
  if (!answer.ok) return;
  const { problems } = await answer.json();
  if (problems.length) tell(problems[0].message, problems[0].line);
  else tell("");
});

const preview = lately(async (signal) => {
  const body = new URLSearchParams();
  for (const name of ["match", "nodes"]) body.append(name, form.elements[name].value);
  for (const box of form.querySelectorAll('[name="capability"]:checked')) body.append("capability", box.value);
  const answer = await post("/monitors/target", body, signal);
  if (answer.ok) target.innerHTML = await answer.text();
});

/** What is declared asks for values: its fields, with what stands in them. */
const ask = lately(async (signal) => {
  const body = new URLSearchParams({ parameters: form.elements.parameters.value });
  for (const field of fields.querySelectorAll("[name]")) body.append(field.name, field.value);
  const answer = await post("/monitors/parameters", body, signal);
  if (answer.ok) fields.innerHTML = await answer.text();
});

let polling = 0;

function show(html) {
  tried.innerHTML = html;
  const line = Number(tried.querySelector("[data-line]")?.dataset.line || 0);
  if (line) {
    code.mark(line);
    code.show(line);
  }
  const poll = tried.querySelector("[data-poll]")?.dataset.poll;
  if (poll) polling = setTimeout(() => look(poll), POLL_MS);
}

async function look(address) {
  try {
    const answer = await fetch(address, { headers: { accept: "text/html" } });
    if (answer.ok) return show(await answer.text());
    tried.textContent = "The trial cannot be followed any more; begin another one.";
  } catch {
    polling = setTimeout(() => look(address), 3 * POLL_MS); // away for a moment
  }
}

form.addEventListener("submit", async (event) => {
  const button = event.submitter;
  if (!button?.hasAttribute("formaction")) return;
  event.preventDefault();
  clearTimeout(polling);
  button.disabled = true;
  tried.replaceChildren("…");
  try {
    const answer = await post(button.getAttribute("formaction"), new URLSearchParams(new FormData(form)));
    if (answer.ok) show(await answer.text());
    else tried.textContent = "This could not be tried just now. Try again in a moment.";
  } catch {
    tried.textContent = "The server did not answer. Try again in a moment.";
  } finally {
    button.disabled = false;
  }
});

script.addEventListener("input", check);
form.elements.parameters.addEventListener("input", ask);
fields.addEventListener("change", ask);
for (const name of ["match", "nodes"]) form.elements[name].addEventListener("input", preview);
for (const box of form.querySelectorAll('[name="capability"]')) box.addEventListener("change", preview);
if (tried.querySelector("[data-poll]")) show(tried.innerHTML);
