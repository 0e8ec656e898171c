// Ask for the lines of a graph: POST /api/v1/query.
import { Problem } from "./loader.js";

/** question {from, to, points, graph} → the answer; rejects with a Problem, or with AbortError. */
export async function askQuery(question, signal) {
  return (await post("/api/v1/query", question, "application/json", signal)).json();
}

/** The same as a table for spreadsheets. */
export async function askTable(question) {
  return (await post("/api/v1/query", question, "text/csv")).text();
}

/** What ClickHouse would be asked. */
export async function askSql(question) {
  return (await (await post("/api/v1/query/sql", question, "application/json")).json()).sql;
}

async function post(address, question, accept, signal) {
  let answer;
  try {
    answer = await fetch(address, { method: "POST", signal, body: JSON.stringify(question), headers: { accept, "content-type": "application/json" } });
  } catch (error) {
    throw error.name === "AbortError" ? error : new Problem("The server cannot be reached");
  }
  if (answer.ok) return answer;
  if (answer.status === 401) location.reload(); // the session is over: the page leads to signing in
  const problem = await answer.json().catch(() => ({}));
  throw new Problem(problem.detail ?? `The server answered ${answer.status}`);
}
