// What happened on a page of graphs as a list, for everybody who does not point at graphs.
import { currentZone } from "./choices.js";
import { duration } from "./format.js";
import { lateness, refusal, troubles } from "./happened.js";
import { instant } from "./ticks.js";

const ROWS_MAX = 100;

/** Fill a <details> with what happened in a window, the newest first. */
export function listEvents(details, known, subject, fromS, toS) {
  const rows = rowsOf(known, subject).filter((row) => row.at < toS && row.until >= fromS).sort((a, b) => b.at - a.at);
  const count = details.querySelector("summary b");
  count.textContent = rows.length ? String(rows.length) : "none";
  details.classList.toggle("none", !rows.length);
  details.querySelector(".events").replaceChildren(...rows.slice(0, ROWS_MAX).map(item));
  const said = [
    rows.length > ROWS_MAX && `The newest ${ROWS_MAX} are listed.`,
    known.is_cut && "There are more, older ones than are told.",
    known.left_out && `${known.left_out} more nodes are shown than events are told of.`,
  ];
  const words = details.querySelector(".said");
  words.textContent = said.filter(Boolean).join(" ");
  words.hidden = !words.textContent;
}

/** {at, until, state?, what, why} */
function rowsOf(known, subject) {
  const moved = known.events.filter(({ node }) => subject.nodes.includes(node));
  return [
    ...moved.map(({ node, at, title, detail, standing }) => ({ at, until: at, state: standing, what: node, href: `/nodes/${encodeURI(node)}`, why: `${title}${detail ? `, ${detail}` : ""}` })),
    ...troubles(known, subject).conditions.map(({ condition, group, state, href, from_s, to_s }) => ({ at: from_s, until: to_s, href, what: condition, why: `${state}${group ? `, ${group}` : ""}`, lasted: to_s - from_s })),
    ...known.outages.map(([at, until]) => ({ at, until, what: "Metrist", why: "away: heard nobody", lasted: until - at })),
    ...known.refused.map((one) => ({ at: one.at, until: one.at, what: one.node || "a batch", why: `refused: ${refusal({ ...one, node: "" }).replace("a batch was refused: ", "")}` })),
    ...known.late.filter(({ node }) => subject.nodes.includes(node)).map((one) => ({ at: one.from_s, until: one.to_s, what: one.node, why: lateness([one])[0].slice(one.node.length + 2), lasted: one.to_s - one.from_s })),
  ];
}

function item({ at, state, what, why, href, lasted }) {
  const row = document.createElement("li");
  row.append(part("time", "", instant(at, currentZone(), true)), whatOf(state, what, href), part("span", "why", why), part("span", "lasted", lasted ? `for ${duration(lasted)}` : ""));
  return row;
}

function whatOf(state, words, href) {
  const holder = part("span", state ? "state what" : "what", "");
  if (state) holder.dataset.state = state;
  holder.append(href ? Object.assign(document.createElement("a"), { href, textContent: words }) : words);
  return holder;
}

function part(tag, name, words) {
  return Object.assign(document.createElement(tag), { className: name, textContent: words });
}
