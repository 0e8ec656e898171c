// Badges of a dashboard: which of its panels show something that a condition says is not ok, kept current by a stream.
import { bound } from "./matchers.js";

const URGENCY = ["firing", "no_data", "error", "pending"];
const NAMED = 5;
const MATCHER = /^\s*([\w.]+)\s*(=~|!~|!=|=)\s*(.*)$/s;

/** Follow the statuses of the metrics that the board shows now; another document or other values are followed anew. */
export function wireBadges(board) {
  const head = document.getElementById("unwell");
  const state = { source: null, metrics: "", statuses: [] };

  const follow = () => {
    const metrics = metricsOf(board.document).join("\n");
    if (metrics === state.metrics && (state.source || document.hidden)) return show();
    state.source?.close();
    state.source = null;
    state.metrics = metrics;
    if (!metrics) state.statuses = [];
    show();
    if (!metrics || document.hidden) return; // a browser has six connections to a host; hidden pages keep none
    state.source = new EventSource(`/conditions/stream?${new URLSearchParams(metrics.split("\n").map((metric) => ["metric", metric]))}`);
    state.source.addEventListener("statuses", (event) => {
      state.statuses = JSON.parse(event.data).statuses;
      show();
    });
  };
  const show = () => {
    const all = new Set();
    for (const tile of board.tiles.values()) {
      if (!tile.isGraph) continue;
      const found = state.statuses.filter((status) => concerns(status, tile.panel.graph, board.values));
      found.forEach((status) => all.add(status));
      mark(tile, found);
    }
    fill(head, [...all]);
    head.hidden = !all.size;
  };
  const hide = () => {
    state.source?.close();
    state.source = null;
  };

  for (const event of ["told", "arranged"]) board.element.addEventListener(event, follow);
  document.addEventListener("visibilitychange", () => (document.hidden ? hide() : follow()));
  addEventListener("pagehide", hide);
  addEventListener("pageshow", (event) => event.persisted && follow());
  follow();
}

function metricsOf({ panels }) {
  const found = panels.flatMap(({ graph }) => (graph?.queries ?? []).map(({ metric }) => metric).filter(Boolean));
  return [...new Set(found)].sort();
}

/** Whether a status is of something that a graph shows: its metric, and nothing that the graph's matchers leave out. */
export function concerns({ metric, labels }, graph, values) {
  return graph.queries.some((query) => query.metric === metric && bound(query.match ?? [], values).every((one) => allows(one, labels)));
}

/** A label that the status does not tell apart may be any. */
function allows(matcher, labels) {
  const [, label, operator, quoted] = MATCHER.exec(matcher) ?? [];
  if (!label || !(label in labels)) return true;
  const wanted = /^".*"$/s.test(quoted) ? quoted.slice(1, -1).replace(/\\(.)/gs, "$1") : quoted.trim();
  const holds = operator.endsWith("~") ? fits(wanted, labels[label]) : labels[label] === wanted;
  return operator.startsWith("!") ? !holds : holds;
}

function fits(pattern, text) {
  try {
    return new RegExp(`^(?:${pattern})$`, "su").test(text);
  } catch {
    return true; // a pattern that only the server knows
  }
}

function mark(tile, found) {
  const before = tile.header.querySelector(".status");
  if (!found.length) {
    before?.remove();
    delete tile.element.dataset.status;
    return;
  }
  const badge = before ?? document.createElement("a");
  badge.className = "status";
  fill(badge, found);
  tile.element.dataset.status = badge.dataset.state;
  if (!before) tile.header.querySelector("h3").after(badge);
}

/** How many are worst, in words; the title names them; one leads to its condition, several to all of them. */
function fill(badge, found) {
  if (!found.length) return;
  const worst = URGENCY.find((state) => found.some((one) => one.state === state));
  const alike = found.filter(({ state }) => state === worst);
  const words = `${alike.length} ${alike[0].word}`;
  if (badge.textContent !== words) badge.textContent = words;
  badge.dataset.state = worst;
  badge.title = [...found.slice(0, NAMED).map(name), ...(found.length > NAMED ? [`${found.length - NAMED} more`] : [])].join("; ");
  const places = new Set(found.map(({ href }) => href));
  badge.href = places.size === 1 ? found[0].href : "/conditions";
}

function name({ condition, labels, word }) {
  const group = Object.values(labels).join(", ");
  return `${condition}${group && ` (${group})`}: ${word}`;
}
