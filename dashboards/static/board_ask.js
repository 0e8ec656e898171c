// Ask a dashboard's part of the API: the lines of a panel, the values of a variable, to be saved.
import { Problem } from "./loader.js";

export const REVISION = "x-metrist-revision";

/** {told, revision}; rejects with a Problem that also has `status` and what the server told, or with AbortError. */
export async function ask(address, question, signal) {
  let answer;
  try {
    const headers = { "content-type": "application/json", accept: "application/json" };
    answer = await fetch(address, { method: "POST", headers, body: JSON.stringify(question), signal });
  } catch (error) {
    throw error.name === "AbortError" ? error : new Problem("The server cannot be reached");
  }
  if (answer.ok) return { told: await answer.json(), revision: Number(answer.headers.get(REVISION)) };
  const told = await answer.json().catch(() => ({}));
  throw Object.assign(new Problem(told.detail ?? `The server answered ${answer.status}`), { status: answer.status, told });
}
