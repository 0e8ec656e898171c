// Numbers with their units, and times the way people say them: the same words as dashboards/format.py.
export const MISSING = "–";
const IEC = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
const SI = ["", "k", "M", "G", "T", "P", "E"];
// past these a number is written with its power of ten
const SMALLEST_SHOWN = 1e-6;
const LARGEST_SHOWN = 1e6;

const WORDS = {
  percent: (value) => fixed(value, Math.abs(value) >= 99.95 ? 0 : 1) + "%",
  bytes: (value) => scaled(value, IEC, 1024, " "),
  bytes_per_s: (value) => scaled(value, IEC, 1024, " ") + "/s",
  bits_per_s: (value) => scaled(value, SI, 1000, " ") + "bit/s",
  seconds: (value) => seconds(value),
  milliseconds: (value) => seconds(value / 1000),
  per_s: (value) => scaled(value, SI, 1000, "") + "/s",
  celsius: (value) => fixed(value, 1) + " °C",
  hertz: (value) => scaled(value, SI, 1000, " ") + "Hz",
  rpm: (value) => count(value) + " rpm",
  count: (value) => count(value),
};

/** A value with its unit to three digits; a dash when there is none. */
export function number(value, unit) {
  if (value === null || value === undefined || !Number.isFinite(value)) return MISSING;
  return (WORDS[unit] ?? WORDS.count)(value === 0 ? 0 : value);
}

/** A length of time: `12.3 ms`, `4.20 s`, `12m 30s`, `3d 4h`. */
export function seconds(value) {
  const size = Math.abs(value);
  if (size >= 119.5) return (value < 0 ? "-" : "") + duration(size);
  if (size >= 1 || size === 0) return digits(value) + " s";
  return size >= 1e-3 ? digits(value * 1e3) + " ms" : digits(value * 1e6) + " µs";
}

/** The two largest parts of a time: `45s`, `12m 30s`, `5h 12m`, `3d 4h`, `1y 34d`. */
export function duration(valueS) {
  const whole = Math.floor(valueS + 0.5);
  const parts = [
    [Math.floor(whole / 31536000), "y"],
    [Math.floor(whole / 86400) % 365, "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "m"],
    [whole % 60, "s"],
  ];
  const found = parts.findIndex(([n]) => n > 0);
  const first = found < 0 ? parts.length - 1 : found;
  return parts.slice(first, first + 2).filter(([n]) => n > 0 || first === parts.length - 1).map(([n, name]) => n + name).join(" ");
}

/** How long since something, to one part: `now`, `4 s ago`, `12 min ago`, `3 h ago`, `2 d ago`. */
export function ago(ageS) {
  if (ageS === null || ageS === undefined || !Number.isFinite(ageS)) return "never";
  if (ageS < 1) return "now";
  for (const [limitS, partS, name] of [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"]]) {
    if (ageS < limitS) return `${Math.floor(ageS / partS)} ${name} ago`;
  }
  return `${Math.floor(ageS / 86400)} d ago`;
}

function count(value) {
  return Number.isInteger(value) && Math.abs(value) < 10000 ? String(value) : scaled(value, SI, 1000, "");
}

function scaled(value, names, base, space) {
  let power = 0;
  while (Math.abs(value) >= base - 0.5 && power < names.length - 1) {
    value /= base;
    power += 1;
  }
  const shown = power === 0 && Number.isInteger(value) ? String(value) : digits(value);
  return shown + space + names[power];
}

function digits(value) {
  const size = Math.abs(value);
  if (size >= 0.1 || size === 0) return fixed(value, size >= 99.95 || size === 0 ? 0 : size >= 9.995 ? 1 : 2);
  return size >= SMALLEST_SHOWN ? fixed(value, 2 - Math.floor(Math.log10(size))) : value.toExponential(2);
}

function fixed(value, places) {
  if (Math.abs(value) >= LARGEST_SHOWN) return value.toExponential(2);
  const text = value.toFixed(places);
  return Number(text) === 0 ? text.replace("-", "") : text;
}
