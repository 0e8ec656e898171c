// The stretch of time a page shows: "last …" or from/to, in the address, with a way back.
import { nowS } from "./clock.js";

const UNITS_S = { s: 1, m: 60, h: 3600, d: 86400, y: 31536000 };
const DEFAULT = document.getElementById("graphs")?.dataset.opensWith ?? "1h"; // a young node begins with less
const LEAST_S = 10;

/** `90m` in seconds; null when it is no length of time. */
export function lengthS(text) {
  const [, n, unit] = /^([1-9][0-9]{0,5})([smhdy])$/.exec(text ?? "") ?? [];
  return n ? Number(n) * UNITS_S[unit] : null;
}

/** {last: "1h", lengthS} or {fromS, toS}, read from an address's query. */
export function parse(search) {
  const query = new URLSearchParams(search);
  const [fromS, toS] = [Number(query.get("from")), Number(query.get("to"))];
  if (query.has("from") && query.has("to") && toS - fromS >= 1) return { fromS, toS };
  const last = lengthS(query.get("range")) ? query.get("range") : DEFAULT;
  return { last, lengthS: lengthS(last) };
}

export const isLive = (range) => range.last !== undefined;

/** [from, to] in Unix seconds as of now. */
export function bounds(range) {
  if (!isLive(range)) return [range.fromS, range.toS];
  const to = nowS();
  return [to - range.lengthS, to];
}

/** A range of at least ten seconds around what was asked, none of it in the future. */
export function absolute(fromS, toS) {
  const middle = (fromS + toS) / 2;
  const half = Math.max(toS - fromS, LEAST_S) / 2;
  const to = Math.min(middle + half, Math.max(nowS(), middle));
  const digits = half < 300 ? 10 : 1;
  return { fromS: Math.floor((middle - half) * digits) / digits, toS: Math.ceil(to * digits) / digits };
}

/** Go to a range as a new step of the browser's history; `steps` counts how many of ours lie behind. */
export function push(range) {
  const query = isLive(range) ? `?range=${range.last}` : `?from=${range.fromS}&to=${range.toS}`;
  if (query === location.search) return;
  history.pushState({ steps: steps() + 1 }, "", query + location.hash);
}

export const steps = () => history.state?.steps ?? 0;

/** How often a live range is refreshed, in ms: what a pixel cannot show is not fetched. */
export function refreshMs(range) {
  if (range.lengthS <= 3600) return 5000;
  if (range.lengthS <= 43200) return 10000;
  return range.lengthS <= 604800 ? 30000 : 300000;
}
