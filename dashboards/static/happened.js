// What the server tells of a window (api/overlay.py), for graphs of some nodes and metrics: which of it, and in words. Pure.
import { duration } from "./format.js";

export const NOTHING = { from_s: 0, to_s: -1, nodes: {}, events: [], conditions: [], outages: [], refused: [], late: [], is_cut: false, left_out: 0 };

// From what lasts to what is worst: where two meet, the later one here is seen.
export const WORSE = ["pending", "error", "info", "away", "warning", "late", "critical", "offline", "deregistered"];
const TOLD_MAX = 3;
const BROKEN = ["no data", "error"];

/** Periods in which its nodes were not online, and its conditions not ok: {standing, from_s, to_s, …}. */
export function troubles({ nodes, conditions }, subject) {
  const missing = subject.nodes.flatMap((node) => (nodes[node] ?? []).filter(({ standing }) => standing !== "online").map((one) => ({ ...one, node })));
  const firing = conditions.filter((one) => concerns(one, subject)).map((one) => ({ ...one, standing: standingOf(one) }));
  return { nodes: missing, conditions: firing };
}

/** Of periods that overlap the worst, as periods that follow each other, cut to a window. */
export function worst(periods, fromS, toS) {
  const steps = [];
  for (const { standing, from_s, to_s } of periods) {
    const [from, to] = [Math.max(from_s, fromS), Math.min(to_s, toS)];
    if (from < to) steps.push({ at: from, standing, by: 1 }, { at: to, standing, by: -1 });
  }
  steps.sort((a, b) => a.at - b.at);
  const open = WORSE.map(() => 0);
  const found = [];
  let since = fromS;
  for (const { at, standing, by } of steps) {
    const now = WORSE[open.findLastIndex((count) => count > 0)];
    if (now && at > since) {
      const last = found.at(-1);
      if (last?.standing === now && last.to_s === since) last.to_s = at;
      else found.push({ standing: now, from_s: since, to_s: at });
    }
    since = at;
    open[WORSE.indexOf(standing)] += by;
  }
  return found;
}

/** What there is to say of an instant, at most some lines; `nearS` is how far off a moment may lie. */
export function told(known, subject, atS, nearS) {
  const { nodes, conditions } = troubles(known, subject);
  const here = ({ from_s, to_s }) => from_s <= atS && atS < to_s;
  const near = (at) => Math.abs(at - atS) <= nearS;
  const words = [
    ...nodes.filter(here).map((one) => `${one.node} ${one.standing}${because(known, one)}`),
    ...conditions.filter(here).map(({ condition, group, state }) => `${condition}${group ? ` (${group})` : ""}: ${state}`),
    ...known.outages.filter(([from_s, to_s]) => here({ from_s, to_s })).map(() => "Metrist was away and heard nobody"),
    ...known.refused.filter(({ at }) => near(at)).map(refusal),
    ...lateness(known.late.filter((one) => subject.nodes.includes(one.node) && one.from_s <= atS && atS <= one.to_s)),
    ...known.events.filter(({ node, at, standing }) => standing === "online" && near(at) && subject.nodes.includes(node)).map(({ node, title }) => `${node}: ${title}`),
  ];
  const more = words.length - TOLD_MAX;
  return more > 0 ? [...words.slice(0, TOLD_MAX), `and ${more} more`] : words;
}

/** Why nothing of some nodes is there between two instants; "" when nobody knows. */
export function why({ nodes, outages, refused }, names, fromS, toS) {
  const meets = ({ from_s, to_s }) => from_s < toS && to_s > fromS;
  const standings = (node) => (nodes[node] ?? []).filter((one) => one.standing !== "online" && meets(one)).map(({ standing }) => standing);
  const away = names.map((node) => [node, [...new Set(standings(node))]]).filter(([, found]) => found.length);
  const found = away.slice(0, TOLD_MAX).map(([node, stood]) => `${node} was ${stood.join(", then ")}`);
  if (outages.some(([from_s, to_s]) => meets({ from_s, to_s }))) found.push("Metrist was away");
  const batch = refused.find(({ at, node }) => fromS <= at && at <= toS && (!node || names.includes(node)));
  if (batch) found.push(refusal(batch));
  return found.join(", ");
}

export const refusal = ({ node, what, detail }) => `${node ? `${node}: ` : "a batch was refused: "}${what}${detail ? ` (${detail})` : ""}`;

/** Of samples that came late, of one node or several, in a line; none when there are none. */
export function lateness(found) {
  if (!found.length) return [];
  const nodes = [...new Set(found.map(({ node }) => node))];
  const most = Math.max(...found.map(({ from_s, at_s }) => at_s - from_s));
  return [`${nodes.length > 1 ? `${nodes.length} nodes` : nodes[0]}: samples came up to ${duration(most)} late`];
}

/** A condition on metrics concerns graphs of them; one on nodes alone, graphs of those nodes. */
function concerns({ node, metrics }, subject) {
  const isOfNode = subject.nodes.includes(node) || (metrics.length > 0 && (!node || !subject.nodes.length));
  return isOfNode && (!metrics.length || metrics.some((metric) => subject.metrics.includes(metric)));
}

/** The name of the colour in which a state of a condition is drawn. */
export function standingOf({ state, severity }) {
  if (state === "pending") return "pending";
  return BROKEN.includes(state) ? "error" : severity in { critical: 1, warning: 1, info: 1 } ? severity : "warning";
}

function because({ events }, { node, from_s }) {
  const event = events.find((one) => one.node === node && Math.abs(one.at - from_s) < 0.001);
  return event?.detail ? `: ${event.detail}` : "";
}
