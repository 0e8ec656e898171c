// Where the lines of a graph's grid go and what they say: time along the foot, values up the side.
import { number } from "./format.js";

const CLOCK_STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200];
const DAY_STEPS = [1, 2, 7, 14];
const MONTH_STEPS = [1, 2, 3, 6, 12, 24, 60, 120];
const DAY_S = 86400;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const SPANS_S = [1, 2, 5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 432000, 864000];
const pad = (n) => String(n).padStart(2, "0");

/** Ticks of a stretch of time (Unix seconds), at most one in 64 pixels: {values, texts}. */
export function timeTicks(fromS, toS, widthPx, zone) {
  const least = (toS - fromS) / Math.max(Math.floor(widthPx / 64), 1);
  const clock = CLOCK_STEPS_S.find((step) => step >= least);
  const values = clock ? clockTicks(fromS, toS, clock, zone) : calendarTicks(fromS, toS, least, zone);
  return { values, texts: values.map((value) => timeText(value, clock, least, zone)) };
}

/** An instant in full: `Nov 23 14:05:30`. */
export function instant(atS, zone, withSeconds = true) {
  const [, month, day, hour, minute, second] = parts(atS, zone);
  return `${MONTHS[month]} ${day} ${pad(hour)}:${pad(minute)}${withSeconds ? ":" + pad(second) : ""}`;
}

/** What is west of Greenwich is negative. */
export function offsetS(atS, zone) {
  return zone === "utc" ? 0 : -new Date(atS * 1000).getTimezoneOffset() * 60;
}

function clockTicks(fromS, toS, step, zone) {
  const values = [];
  const offset = offsetS(fromS, zone);
  for (let at = Math.ceil((fromS + offset) / step) * step - offset; at <= toS; ) {
    values.push(at);
    const shift = offsetS(at + step, zone) - offsetS(at, zone);
    at += step - (shift % step); // clocks change by an hour: a grid of hours still fits, one of three hours must move
  }
  return values;
}

function calendarTicks(fromS, toS, least, zone) {
  const days = DAY_STEPS.find((step) => step * DAY_S >= least);
  const months = MONTH_STEPS.find((step) => step * 30.5 * DAY_S >= least) ?? MONTH_STEPS.at(-1);
  const [year, month, day] = parts(fromS, zone);
  const first = days ? Math.floor(epochDay(year, month, day) / days) * days : Math.floor((year * 12 + month) / months) * months;
  const values = [];
  for (let i = 0; i < 400; i += 1) {
    const at = days ? ofDay(first + i * days, zone) : ofMonth(first + i * months, zone);
    if (at > toS) break;
    if (at >= fromS) values.push(at);
  }
  return values;
}

const epochDay = (year, month, day) => Date.UTC(year, month, day) / 1000 / DAY_S;

function ofDay(day, zone) {
  const utc = new Date(day * DAY_S * 1000);
  return midnight(utc.getUTCFullYear(), utc.getUTCMonth(), utc.getUTCDate(), zone);
}

const ofMonth = (month, zone) => midnight(Math.floor(month / 12), month % 12, 1, zone);

function midnight(year, month, day, zone) {
  return (zone === "utc" ? Date.UTC(year, month, day) : new Date(year, month, day).getTime()) / 1000;
}

function timeText(atS, clock, least, zone) {
  const [year, month, day, hour, minute, second] = parts(atS, zone);
  if (!clock && least > 14 * DAY_S) return month === 0 || least > 180 * DAY_S ? String(year) : MONTHS[month];
  if (!clock || (hour === 0 && minute === 0 && second === 0)) return `${MONTHS[month]} ${day}`;
  return `${pad(hour)}:${pad(minute)}${clock < 60 ? ":" + pad(second) : ""}`;
}

function parts(atS, zone) {
  const shifted = new Date((atS + offsetS(atS, zone)) * 1000);
  return [
    shifted.getUTCFullYear(),
    shifted.getUTCMonth(),
    shifted.getUTCDate(),
    shifted.getUTCHours(),
    shifted.getUTCMinutes(),
    shifted.getUTCSeconds(),
  ];
}

/** Ticks and limits of values from `least` to `most`: {values, texts, limits}; percents are of a whole unless told. */
export function valueTicks(least, most, unit, isOfWhole = true) {
  if (unit === "percent" && isOfWhole && least >= 0 && most <= 100) return labelled([0, 25, 50, 75, 100], [0, 100], unit);
  const [low, high] = withRoom(least, most);
  const step = niceStep((high - low) / 4, unit, low);
  const [first, last] = [Math.floor(low / step + 1e-9), Math.ceil(high / step - 1e-9)];
  const values = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
  return labelled(values, [values[0], values.at(-1)], unit);
}

/** From zero unless the values are far from it; never so near that noise fills the graph. */
function withRoom(least, most) {
  const low = least >= 0 && (least < most * 0.6 || least === most) ? 0 : least;
  const room = Math.max(Math.abs(most) * 0.1, 1e-9);
  if (most <= 0 && least >= 0) return [0, 1];
  return most - low >= room ? [low, most] : [(low + most - room) / 2, (low + most + room) / 2];
}

/** Bytes go by powers of two from zero up, and by tenths of their unit far from it: both read exactly. */
function niceStep(about, unit, low) {
  const isBytes = unit === "bytes" || unit === "bytes_per_s";
  const scale = 1024 ** Math.floor(Math.log2(Math.max(low, 1)) / 10);
  if (isBytes && about >= 1) return low > 0 ? decimalStep(about / scale) * scale : 2 ** Math.ceil(Math.log2(about));
  if (unit === "seconds" && about >= 1) return SPANS_S.find((span) => span >= about) ?? decimalStep(about / DAY_S) * DAY_S;
  return decimalStep(about);
}

/** One digit, so that three digits tell every tick of the range exactly: no 2.5. */
function decimalStep(about) {
  const power = 10 ** Math.floor(Math.log10(about));
  return [1, 2, 5, 10].find((n) => n * power >= about * 0.999) * power;
}

function labelled(values, limits, unit) {
  return { values, texts: values.map((value) => tickText(value, unit)), limits };
}

/** A number without the zeros and the "/s" that every tick of a graph would repeat. */
export function tickText(value, unit) {
  const text = number(Math.abs(value) < 1e-12 ? 0 : value, unit).replace("/s", "");
  return text.replace(/(\.\d*?)0+(?=\D|$)/, "$1").replace(/\.(?=\D|$)/, "");
}
