// What the fields of a dashboard's editor can hold, as one types: names of metrics, labels of the metric beside it.
const PAUSE_MS = 150;
const MOST = 30;

/** Fill the lists of the fields `metric`, `by` and `label` in a form. */
export function offer(form) {
  let timer = 0;
  form.addEventListener("input", ({ target }) => {
    if (target.name !== "metric") return;
    clearTimeout(timer);
    timer = setTimeout(() => offerMetrics(target.value), PAUSE_MS);
  });
  form.addEventListener("focusin", ({ target }) => {
    if (target.name === "metric") offerMetrics(target.value);
    if (["by", "label"].includes(target.name)) offerLabels(target.closest("[role=group]").querySelector("[name=metric]")?.value ?? "");
  });
}

async function offerMetrics(text) {
  const { metrics = [] } = await read(`/api/v1/metrics/search?${new URLSearchParams({ q: text, limit: MOST })}`);
  fill("metrics", metrics.map((one) => one.name));
}

async function offerLabels(metric) {
  const { labels = [] } = await read(`/api/v1/labels?${new URLSearchParams({ metric, limit: MOST })}`);
  fill("labels", ["node", ...labels.map((one) => one.name)]);
}

/** Suggestions help; without an answer one types the whole name. */
async function read(address) {
  try {
    const answer = await fetch(address);
    return answer.ok ? await answer.json() : {};
  } catch {
    return {};
  }
}

function fill(list, names) {
  document.getElementById(list).replaceChildren(...names.map((value) => Object.assign(document.createElement("option"), { value })));
}
