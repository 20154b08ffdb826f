// Sessions by month, as SVG: it prints, follows the colours and the text size, and each month leads to its sessions.

import { h, svg } from "./dom.js";
import { number } from "./time.js";
import { listAddress } from "./view.js";

/**
 * @typedef {{month: string, ephys: number, uploaded: number, sorted: number, training: number}} Month
 * @typedef {{
 *   name: string, platforms: string[], depths: [("ephys" | "uploaded" | "sorted" | "training"), string, string][],
 * }} Chart its sessions, and its parts with their class and label, drawn over one another: a part is in its whole
 */

/** Pixels. */
const HEIGHT = 132;
const MARGIN = { top: 8, right: 4, bottom: 22, left: 36 };
/** @type {Chart} */
export const EPHYS = {
  name: "Ephys",
  platforms: ["ephys"],
  depths: [
    ["ephys", "all", "recorded"],
    ["uploaded", "uploaded", "uploaded"],
    ["sorted", "sorted", "sorted"],
  ],
};
/** @type {Chart} */
export const TRAINING = {
  name: "Training",
  platforms: ["behavior", "behavior_with_sync"],
  depths: [["training", "all", "sessions"]],
};

/**
 * Round numbers from 0 up to at least *most*.
 *
 * @param {number} most
 * @param {number} [steps] at most so many steps
 * @returns {number[]}
 */
export function ticks(most, steps = 5) {
  let step = 1;
  for (let n = 0; most / step > steps; n++) {
    step = [2, 5, 10][n % 3] * 10 ** Math.floor(n / 3);
  }
  const end = Math.max(1, Math.ceil(most / step));
  return Array.from({ length: end + 1 }, (_, n) => n * step);
}

/**
 * The address of a month's sessions.
 *
 * @param {string} month `2024-03`
 * @param {string[]} [platform]
 */
export function monthAddress(month, platform = []) {
  const [year, number] = month.split("-").map(Number);
  const last = new Date(Date.UTC(year, number, 0)).getUTCDate();
  return listAddress({ from: `${month}-01`, to: `${month}-${last}`, platform });
}

/**
 * @param {Chart} chart
 * @param {Month[]} months without gaps
 * @param {number} width pixels
 * @returns {SVGElement} for the eye: the table beside it tells the same, and is what keyboards reach
 */
export function monthsChart({ platforms, depths }, months, width) {
  const [[whole]] = depths;
  const steps = ticks(Math.max(...months.map((month) => month[whole])), 3);
  const most = /** @type {number} */ (steps.at(-1));
  const inner = { width: width - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom };
  const y = (/** @type {number} */ value) => MARGIN.top + inner.height * (1 - value / most);
  const slot = inner.width / months.length;
  const bar = Math.max(1, Math.min(slot - (slot > 4 ? 1.5 : 0.5), 28));
  const x = (/** @type {number} */ n) => MARGIN.left + slot * n;
  const labels = monthLabels(months, slot);
  return svg(
    "svg",
    { viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true", focusable: "false" },
    steps
      .map((step) => [
        svg("line", { class: "rule", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(step), y2: y(step) }),
        svg("text", { x: MARGIN.left - 6, y: y(step) + 4, "text-anchor": "end" }, number(step)),
      ])
      .flat(),
    months.map((month, n) =>
      svg(
        "a",
        { href: monthAddress(month.month, platforms), tabindex: "-1" },
        svg(
          "title",
          null,
          `${month.month}: ${depths.map(([key, , label]) => `${number(month[key])} ${label}`).join(", ")}`,
        ),
        svg("rect", { class: "reach", x: x(n), y: MARGIN.top, width: slot, height: inner.height }),
        depths.map(([key, css]) =>
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
    labels.map(({ at, text }) => svg("text", { x: x(at), y: HEIGHT - 6 }, text)),
  );
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
  const every = [1, 3, 6, 12].find((count) => count * slot > 58) ?? 12;
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
  const columns = /** @type {const} */ (["ephys", "uploaded", "sorted", "training"]);
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
