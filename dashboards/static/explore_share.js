// Take a graph elsewhere: its address, its values, its SQL.
import { askSql, askTable } from "./query.js";
import { toUrl } from "./graph.js";

/** question () → {from, to, points, graph} as shown;  answer () → what came for it;  when () → the range's query;  say (words) */
export function wireShare({ question, answer, when, say }) {
  const menu = document.getElementById("share");
  const dialog = document.getElementById("sql");
  const does = {
    link: () => copy(location.href),
    moment: () => {
      const { from, to, graph } = question();
      return copy(`${location.origin}${location.pathname}?${toUrl(graph)}&from=${Math.round(from)}&to=${Math.round(to)}`);
    },
    csv: async () => save(await askTable(question()), "text/csv", "csv"),
    json: () => save(JSON.stringify(answer()), "application/json", "json"),
    board: () => {
      location.href = `/dashboards/add?${toUrl(question().graph)}&${when()}`;
      return "";
    },
    condition: () => {
      location.href = `/conditions/new?${toUrl(question().graph)}`;
      return "";
    },
    sql: async () => {
      dialog.querySelector("pre").textContent = await askSql(question());
      dialog.showModal();
      return "";
    },
  };
  menu.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-share]");
    if (!button) return;
    menu.open = false;
    try {
      say(await does[button.dataset.share]());
    } catch (error) {
      say(error.message);
    }
  });
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return "Link copied";
  } catch {
    return "This browser lets no page copy here: take the link from the address bar"; // plain http on another host
  }
}

function save(text, type, ending) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = `metrist-${new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-")}.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  return "Downloaded";
}
