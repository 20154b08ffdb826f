// Sessions by month, as SVG: it prints, follows the colours and the text size, and each month leads to its sessions.

import { h, svg } from "./dom.js";
import { counted, number } from "./time.js";
import { listAddress } from "./view.js";

/** @typedef {{month: string, sessions: number, ephys: number, uploaded: number, sorted: number}} Month */

/** Pixels: as tall as the list beside it, lower on a phone. */
const HEIGHTS = { wide: 290, narrow: 200 };
const MARGIN = { top: 10, right: 4, bottom: 24, left: 36 };
/** @type {[("sessions" | "uploaded" | "sorted"), string, string][]} drawn over one another: a part is in its whole */
export const DEPTHS = [
  ["sessions", "all", "sessions"],
  ["uploaded", "uploaded", "uploaded"],
  ["sorted", "sorted", "sorted"],
];

/**
 * Round numbers from 0 up to at least *most*, at most six steps.
 *
 * @param {number} most
 * @returns {number[]}
 */
export function ticks(most) {
  let step = 1;
  for (let n = 0; most / step > 5; n++) {
    step = [2, 5, 10][n % 3] * 10 ** Math.floor(n / 3);
  }
  const end = Math.max(1, Math.ceil(most / step));
  return Array.from({ length: end + 1 }, (_, n) => n * step);
}

/**
 * The address of a month's sessions.
 *
 * @param {string} month `2024-03`
 */
export function monthAddress(month) {
  const [year, number] = month.split("-").map(Number);
  const last = new Date(Date.UTC(year, number, 0)).getUTCDate();
  return listAddress({ from: `${month}-01`, to: `${month}-${last}` });
}

/**
 * @param {Month[]} months without gaps
 * @param {number} width pixels
 * @returns {SVGElement} for the eye: the table beside it tells the same, and is what keyboards reach
 */
export function monthsChart(months, width) {
  const all = width > 400 ? HEIGHTS.wide : HEIGHTS.narrow;
  const steps = ticks(Math.max(...months.map(({ sessions }) => sessions)));
  const most = /** @type {number} */ (steps.at(-1));
  const inner = { width: width - MARGIN.left - MARGIN.right, height: all - MARGIN.top - MARGIN.bottom };
  const y = (/** @type {number} */ value) => MARGIN.top + inner.height * (1 - value / most);
  const slot = inner.width / months.length;
  const bar = Math.max(1, Math.min(slot - (slot > 4 ? 1.5 : 0.5), 28));
  const x = (/** @type {number} */ n) => MARGIN.left + slot * n;
  const labels = monthLabels(months, slot);
  return svg(
    "svg",
    { viewBox: `0 0 ${width} ${all}`, "aria-hidden": "true", focusable: "false" },
    steps
      .map((step) => [
        svg("line", { class: "rule", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(step), y2: y(step) }),
        svg("text", { x: MARGIN.left - 6, y: y(step) + 4, "text-anchor": "end" }, number(step)),
      ])
      .flat(),
    months.map((month, n) =>
      svg(
        "a",
        { href: monthAddress(month.month), tabindex: "-1" },
        svg("title", null, `${month.month}: ${spoken(month)}`),
        svg("rect", { class: "reach", x: x(n), y: MARGIN.top, width: slot, height: inner.height }),
        DEPTHS.map(([key, css]) =>
          svg("rect", {
            class: css,
            x: x(n) + (slot - bar) / 2,
            y: y(month[key]),
            width: bar,
            height: (inner.height * month[key]) / most,
          }),
        ),
      ),
    ),
    labels.map(({ at, text }) => svg("text", { x: x(at), y: all - 6 }, text)),
  );
}

/** @param {Month} month */
function spoken({ sessions, ephys, uploaded, sorted }) {
  const parts = [`${number(uploaded)} uploaded`, `${number(sorted)} sorted`];
  return [`${counted(sessions, "session")} (${number(ephys)} ephys)`, ...parts].join(", ");
}

/**
 * Years where they begin; months, where there is room for them.
 *
 * @param {Month[]} months
 * @param {number} slot pixels
 */
function monthLabels(months, slot) {
  /** @type {{at: number, text: string}[]} */
  const labels = [];
  const every = [1, 3, 6, 12].find((count) => count * slot > 48) ?? 12;
  for (const [at, { month }] of months.entries()) {
    const number = Number(month.slice(5));
    if ((number - 1) % every === 0) {
      labels.push({ at, text: every === 12 ? month.slice(0, 4) : month });
    }
  }
  if (!labels.length) {
    labels.push({ at: 0, text: months[0].month });
  }
  // one at the right end would be cut off
  return labels.filter(({ at, text }) => at === 0 || (months.length - at) * slot > text.length * 6.5);
}

/**
 * The same figures as a table.
 *
 * @param {Month[]} months
 */
export function monthsTable(months) {
  const columns = /** @type {const} */ (["sessions", "ephys", "uploaded", "sorted"]);
  return h(
    "table",
    { class: "plain" },
    h("caption", { class: "hidden" }, "Sessions by month, the newest first"),
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        h("th", { scope: "col" }, "Month"),
        columns.map((name) => h("th", { scope: "col", class: "number" }, name)),
      ),
    ),
    h(
      "tbody",
      null,
      [...months].reverse().map((month) =>
        h(
          "tr",
          null,
          h("th", { scope: "row" }, h("a", { href: monthAddress(month.month) }, month.month)),
          columns.map((name) => h("td", { class: "number" }, number(month[name]))),
        ),
      ),
    ),
  );
}
