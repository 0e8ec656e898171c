// The live view's buttons on a node's page: all graphs or one, pause, how often, keep, stop; and where it stands.
import { isTyping } from "./app.js";
import { nowS } from "./clock.js";
import { LiveView, words } from "./live.js";

export const LIVE_RANGE = { last: "1m", lengthS: 60 };
const METRICS_MAX = 64;
const FRAME_MS = 125;

const bar = document.getElementById("live");
const line = document.getElementById("live-line");
const stage = document.getElementById("live-stage");
const part = (name) => document.querySelector(`[data-live-${name}]`);

/**
 * Wire the live view to the page.
 * seen   the graphs on the screen
 * enter  called when it begins: show LIVE_RANGE
 * leave  called when it has ended: show stored samples again
 * frame  called some times a second while points come
 */
export function wireLive(node, { root, panels, seen, enter, leave, frame }) {
  const view = new LiveView(node, { onPoints: spread, onStage: tell });
  const only = new Set(); // the graphs somebody has chosen one by one; none is all that are seen
  let recording = null;

  function spread(points) {
    const byMetric = Map.groupBy ? Map.groupBy(points, (point) => point.metric) : grouped(points);
    for (const [metric, some] of byMetric) panels.get(metric)?.stream(some, view.everyMs / 1000, nowS() - 2 * LIVE_RANGE.lengthS);
  }

  function begin() {
    if (!view.isOn) enter();
    follow(true);
  }

  /** Ask for what is on the screen, or for what was chosen. */
  function follow(isBeginning = false) {
    if (!view.isOn && !isBeginning) return;
    const wanted = only.size ? [...only] : seen().map((panel) => panel.metric).slice(0, METRICS_MAX);
    if (wanted.length) view.watch(wanted, Number(part("every").value));
    mark();
  }

  function end() {
    if (!view.isOn) return;
    only.clear();
    view.stop();
    leave();
  }

  function toggleOne(metric) {
    if (view.isOn && !only.size) only.add(metric); // of all that stream, this one stays
    else if (!only.delete(metric)) only.add(metric);
    if (only.size) begin();
    else end();
  }

  function tell(standing) {
    bar.dataset.stage = standing.stage ?? "";
    line.hidden = standing.stage === null && !recording;
    const said = standing.stage === null ? "" : words(standing, { node, ...view, isPaused: view.isPaused });
    if (stage.textContent !== said) stage.textContent = said;
    mark();
  }

  function mark() {
    const isOn = view.isOn;
    part("all").setAttribute("aria-pressed", String(isOn));
    part("pause").setAttribute("aria-pressed", String(view.isPaused));
    part("pause").textContent = view.isPaused ? "Resume" : "Pause";
    for (const name of ["pause", "every", "keep"]) part(name).hidden = !isOn;
    const missing = new Set(isOn ? view.standing.missing : []);
    for (const panel of panels.values()) {
      panel.element.classList.toggle("streams", isOn && view.metrics.has(panel.metric) && !missing.has(panel.metric));
      explain(panel.element.querySelector("header"), missing.has(panel.metric));
    }
    for (const button of root.querySelectorAll("[data-live-one]")) {
      button.setAttribute("aria-pressed", String(isOn && view.metrics.has(button.closest(".panel").dataset.metric)));
    }
  }

  async function keep(minutes) {
    const form = new FormData();
    form.set("node", node);
    form.set("every_ms", view.everyMs);
    form.set("minutes", minutes);
    for (const metric of view.metrics) form.append("metric", metric);
    showRecording(await post("/recordings", form));
  }

  function showRecording(answer) {
    if (answer.detail) stage.textContent = answer.detail;
    else recording = answer;
    tick();
  }

  function tick() {
    const box = document.getElementById("recording");
    const left = recording ? Math.ceil(recording.ends_s - nowS()) : 0;
    box.hidden = !recording;
    if (!recording) return;
    box.querySelector("a").href = recording.href;
    box.querySelector("b").textContent = left > 0 ? `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")} left` : "kept";
    box.querySelector("button").hidden = left <= 0;
    if (line.hidden) line.hidden = false;
  }

  part("all").addEventListener("click", () => (view.isOn && !only.size ? end() : (only.clear(), begin())));
  part("pause").addEventListener("click", () => view.pause(!view.isPaused));
  part("every").addEventListener("change", () => follow());
  part("keep").addEventListener("change", (event) => {
    keep(Number(event.target.value));
    event.target.value = "";
  });
  document.querySelector("#recording button").addEventListener("click", async () => showRecording(await post(`/recordings/${recording.id}/stop`)));
  root.addEventListener("click", (event) => {
    const one = event.target.closest("[data-live-one]");
    if (one) toggleOne(one.closest(".panel").dataset.metric);
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (event.key === "l") view.isOn ? end() : begin();
  });
  setInterval(() => {
    if (view.isOn && !document.hidden && !view.isPaused) frame();
  }, FRAME_MS);
  setInterval(() => {
    if (view.isOn) tell(view.standing);
    tick();
  }, 1000);

  return { end, follow, streams: (metric) => view.isOn && view.metrics.has(metric), isOn: () => view.isOn, isPaused: () => view.isPaused };
}

/** Say at a graph why it stands still while others stream. */
function explain(header, isMissing) {
  const said = header.querySelector(".not-live");
  if (isMissing === Boolean(said)) return;
  if (said) return said.remove();
  const note = document.createElement("span");
  note.className = "not-live";
  note.textContent = "not live";
  note.title = "The agent does not measure this itself: its values come with snapshots, or from another program";
  header.insertBefore(note, header.querySelector("[data-live-one]"));
}

function grouped(points) {
  const found = new Map();
  for (const point of points) found.set(point.metric, [...(found.get(point.metric) ?? []), point]);
  return found;
}

async function post(address, body) {
  try {
    const answer = await fetch(address, { method: "POST", body, headers: { accept: "application/json" } });
    return await answer.json();
  } catch {
    return { detail: "The server cannot be reached; nothing was changed" };
  }
}
