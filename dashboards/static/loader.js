// Fetch the series of many graphs with few requests, and none whose answer nobody waits for any more.
const METRICS_AT_ONCE = 32; // a screenful: one question of 24 metrics takes half as long as three of eight

export class Loader {
  #node;
  #wanted = new Map();
  #running = new Set();

  constructor(node) {
    this.#node = node;
  }

  /**
   * Ask for one metric. All that is asked for in one turn of the event loop for the same window travels together.
   * window  {fromS, toS, points} or {fromS, toS, stepS}
   * Returns {resolution, stepS, rowsRead, series}; rejects with a Problem, or with AbortError when superseded.
   */
  ask(metric, window) {
    const key = JSON.stringify(window);
    if (!this.#wanted.size) queueMicrotask(() => this.#send());
    if (!this.#wanted.has(key)) this.#wanted.set(key, { window, asked: [] });
    return new Promise((resolve, reject) => this.#wanted.get(key).asked.push({ metric, resolve, reject }));
  }

  /** Drop every request whose answer has not come. */
  abort() {
    for (const controller of this.#running) controller.abort();
    for (const { asked } of this.#wanted.values()) for (const one of asked) one.reject(new DOMException("superseded", "AbortError"));
    this.#wanted.clear();
  }

  #send() {
    const batches = [...this.#wanted.values()];
    this.#wanted.clear();
    for (const { window, asked } of batches) {
      for (let i = 0; i < asked.length; i += METRICS_AT_ONCE) this.#fetch(window, asked.slice(i, i + METRICS_AT_ONCE));
    }
  }

  async #fetch(window, asked) {
    const controller = new AbortController();
    this.#running.add(controller);
    try {
      const answer = await request(this.#address(window, asked), controller.signal);
      for (const { metric, resolve } of asked) {
        const series = answer.series.filter((one) => one.metric === metric).map((one) => points(one, answer));
        resolve({ resolution: answer.resolution, stepS: answer.step_s, rowsRead: answer.rows_read, series });
      }
    } catch (error) {
      for (const { reject } of asked) reject(error);
    } finally {
      this.#running.delete(controller);
    }
  }

  #address({ fromS, toS, points, stepS }, asked) {
    const query = new URLSearchParams(asked.map(({ metric }) => ["metric", metric]));
    query.set("form", "grid");
    query.set("node", this.#node);
    query.set("from", fromS);
    query.set("to", toS);
    if (stepS) query.set("step", stepS);
    else query.set("points", points);
    return `/api/v1/series?${query}`;
  }
}

/** A series with the time of each of its values, from one with a value or null for each slot of a grid. */
function points({ avg, min = avg, max = avg, ...series }, { from_s: fromS, step_s: stepS }) {
  const found = { ...series, ts: [], avg: [], min: [], max: [] };
  for (let slot = 0; slot < avg.length; slot += 1) {
    if (avg[slot] === null) continue;
    found.ts.push(fromS + slot * stepS);
    found.avg.push(avg[slot]);
    found.min.push(min[slot]);
    found.max.push(max[slot]);
  }
  return found;
}

/** What the server said is wrong, in its own words. */
export class Problem extends Error {
  constructor(detail, retryAfterS = null) {
    super(detail);
    this.retryAfterS = retryAfterS;
  }
}

async function request(address, signal) {
  let answer;
  try {
    answer = await fetch(address, { signal, headers: { accept: "application/json" } });
  } catch (error) {
    throw error.name === "AbortError" ? error : new Problem("The server cannot be reached");
  }
  if (answer.ok) return answer.json();
  if (answer.status === 401) location.reload(); // the session is over: the page leads to signing in
  const problem = await answer.json().catch(() => ({}));
  throw new Problem(problem.detail ?? `The server answered ${answer.status}`, Number(answer.headers.get("retry-after")) || null);
}
