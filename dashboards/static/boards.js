// The list of dashboards: those whose titles hold what is typed.
const field = document.querySelector("[data-filter]");
const rows = [...document.querySelectorAll("#boards tbody tr")];

function sieve() {
  const words = field.value.trim().toLowerCase().split(/\s+/);
  for (const row of rows) row.hidden = !words.every((word) => row.dataset.text.includes(word));
  document.getElementById("no-match").hidden = rows.some((row) => !row.hidden);
}

field?.addEventListener("input", sieve);
field?.addEventListener("keydown", (event) => {
  if (event.key === "Enter") rows.find((row) => !row.hidden)?.querySelector("a").click();
  if (event.key !== "Escape") return;
  field.value = "";
  sieve();
});
