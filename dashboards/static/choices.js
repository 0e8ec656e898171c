// What one person chose on this browser: theme and time zone. Listeners hear of every change.
const listeners = { theme: new Set(), zone: new Set() };
const systemDark = matchMedia("(prefers-color-scheme: dark)");

export const isDark = () => (document.documentElement.dataset.theme ?? (systemDark.matches ? "dark" : "light")) === "dark";

/** Take the other theme; one that equals the system's is no choice and follows the system again. */
export function toggleTheme() {
  const wanted = isDark() ? "light" : "dark";
  const isSystem = (wanted === "dark") === systemDark.matches;
  if (isSystem) delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = wanted;
  write("theme", isSystem ? null : wanted);
  tell("theme");
}

let zone = read("zone") === "utc" ? "utc" : "local";
export const currentZone = () => zone;

export function setZone(wanted) {
  zone = wanted;
  write("zone", wanted === "utc" ? "utc" : null);
  tell("zone");
}

export function onChange(what, listener) {
  listeners[what].add(listener);
}

systemDark.addEventListener("change", () => tell("theme"));

function tell(what) {
  for (const listener of listeners[what]) listener();
}

export function read(name) {
  try {
    return localStorage.getItem(`metrist.${name}`);
  } catch {
    return null; // storage may be forbidden; choices then last as long as the page
  }
}

export function write(name, value) {
  try {
    if (value === null) localStorage.removeItem(`metrist.${name}`);
    else localStorage.setItem(`metrist.${name}`, value);
  } catch {
    // as above
  }
}
