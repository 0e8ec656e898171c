// Keep a page current: server-sent events while it is seen, polling where those do not get through.
import { learn } from "./clock.js";

const SILENCE_MS = 15000; // the server says something every 2 s
const POLL_MS = 5000;

/**
 * Follow the nodes of this account.
 * query      "" or "?node=…"
 * onMessage  called with {now, whole, nodes: [changed fields by name], removed: [names]}
 */
export function follow(query, onMessage) {
  const state = { source: null, quiet: 0, poll: 0 };
  const take = (message) => {
    learn(message.now);
    onMessage(message);
  };
  const connect = () => {
    disconnect(state);
    if (document.hidden) return; // a browser has six connections to a host; hidden pages keep none
    state.source = new EventSource(`/nodes/stream${query}`);
    state.source.addEventListener("nodes", (event) => {
      expectMore();
      take(JSON.parse(event.data));
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
    try {
      const answer = await fetch(`/nodes.json${query}`, { headers: { accept: "application/json" } });
      if (answer.status === 401) return location.reload();
      if (answer.ok) take(await answer.json());
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
}

function disconnect(state) {
  clearTimeout(state.quiet);
  clearTimeout(state.poll);
  state.source?.close();
  state.source = null;
}
