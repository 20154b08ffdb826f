// Times as people read them. Data says UTC; ages are computed when the page is looked at.

import { h } from "./dom.js";

const HOUR = 3_600_000;
/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [
  ["year", 365.25 * 24 * HOUR],
  ["month", 30.44 * 24 * HOUR],
  ["day", 24 * HOUR],
  ["hour", HOUR],
  ["minute", HOUR / 60],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const count = new Intl.NumberFormat("en");

/**
 * `10000` as `10,000`.
 *
 * @param {number} number
 */
export function number(number) {
  return count.format(number);
}

/**
 * `1 session`, `2 sessions`.
 *
 * @param {number} n
 * @param {string} one
 * @param {string} [many]
 */
export function counted(n, one, many = `${one}s`) {
  return `${number(n)} ${n === 1 ? one : many}`;
}

/**
 * Hours since *iso*.
 *
 * @param {string} iso
 * @param {number} [now] milliseconds
 */
export function hoursSince(iso, now = Date.now()) {
  return (now - Date.parse(iso)) / HOUR;
}

/**
 * `3 hours ago`. A minute or less, and what a wrong clock puts into the future, is `just now`.
 *
 * @param {string} iso
 * @param {number} [now] milliseconds
 */
export function ago(iso, now = Date.now()) {
  const passed = now - Date.parse(iso);
  for (const [unit, length] of UNITS) {
    if (passed >= length) {
      return relative.format(-Math.floor(passed / length), unit);
    }
  }
  return "just now";
}

/**
 * `21 h 12 min`, `40 min`, `35 s`.
 *
 * @param {number} seconds
 */
export function duration(seconds) {
  if (seconds < 60) {
    return `${Math.round(seconds)} s`;
  }
  const minutes = Math.round(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const parts = [hours ? `${number(hours)} h` : "", minutes % 60 ? `${minutes % 60} min` : ""];
  return parts.filter(Boolean).join(" ");
}

/**
 * `2026-11-22 16:04 UTC`, or the day alone.
 *
 * @param {string} iso
 * @param {boolean} [dayOnly]
 */
export function utc(iso, dayOnly = false) {
  const when = new Date(iso);
  if (Number.isNaN(when.getTime())) {
    return iso;
  }
  const text = when.toISOString();
  return dayOnly ? text.slice(0, 10) : `${text.slice(0, 10)} ${text.slice(11, 16)} UTC`;
}

/**
 * @param {string} iso
 * @param {{dayOnly?: boolean, age?: boolean}} [how]
 * @returns {HTMLElement}
 */
export function time(iso, { dayOnly = false, age = false } = {}) {
  return h("time", { datetime: iso, title: age ? utc(iso) : ago(iso) }, age ? ago(iso) : utc(iso, dayOnly));
}
