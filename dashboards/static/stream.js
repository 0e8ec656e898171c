// Keep a page current: server-sent events while it is seen, polling where those do not get through.
import { learn } from "./clock.js";

const SILENCE_MS = 15000; // the server says something every 5 s
const POLL_MS = 5000;

/**
 * Follow nodes of this account.
 * query      "?node=…" for one, or the query of a list
 * onMessage  called with {now, whole, nodes: [changed fields by name], …}; a list also tells order and summary
 *
 * Returns `ask(query)`, which follows another query from now on.
 */
export function follow(query, onMessage) {
  const state = { query, source: null, quiet: 0, poll: 0 };
  const take = (message, asked) => {
    if (asked !== state.query) return;
    learn(message.now);
    onMessage(message);
  };
  const connect = () => {
    disconnect(state);
    if (document.hidden) return; // a browser has six connections to a host; hidden pages keep none
    const asked = state.query;
    state.source = new EventSource(`/nodes/stream${asked}`);
    state.source.addEventListener("nodes", (event) => {
      expectMore();
      take(JSON.parse(event.data), asked);
    });
    expectMore();
  };
  const expectMore = () => {
    clearTimeout(state.quiet);
    clearTimeout(state.poll);
    state.quiet = setTimeout(() => poll(), SILENCE_MS);
  };
  const poll = async () => {
    if (document.hidden) return;
    const asked = state.query;
    try {
      const answer = await fetch(`/nodes.json${asked}`, { headers: { accept: "application/json" } });
      if (answer.status === 401) return location.reload();
      if (answer.ok) take(await answer.json(), asked);
    } catch {
      // the server is away; the next try tells
    }
    if (state.source?.readyState === EventSource.CLOSED) connect();
    state.poll = setTimeout(poll, POLL_MS);
  };
  document.addEventListener("visibilitychange", connect);
  addEventListener("pagehide", () => disconnect(state));
  addEventListener("pageshow", (event) => event.persisted && connect());
  connect();
  return (other) => {
    state.query = other;
    connect();
  };
}

function disconnect(state) {
  clearTimeout(state.quiet);
  clearTimeout(state.poll);
  state.source?.close();
  state.source = null;
}
