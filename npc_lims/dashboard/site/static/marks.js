// The values of a status: a sign, a word, and how each is written in addresses and files.

import { h } from "./dom.js";

/** @typedef {"y" | "n" | "?" | "-"} Value */

/** @type {Record<Value, {sign: string, word: string, name: string, css: string}>} */
export const VALUES = {
  y: { sign: "✓", word: "yes", name: "yes", css: "y" },
  n: { sign: "○", word: "no", name: "no", css: "n" },
  "?": { sign: "?", word: "unknown", name: "unknown", css: "u" },
  "-": { sign: "–", word: "does not apply", name: "na", css: "a" },
};

/** In this order they are listed and sorted. */
export const ORDER = /** @type {Value[]} */ (Object.keys(VALUES));

/** @type {Map<string, HTMLElement>} one of each, to be copied: a screen of the list holds hundreds */
const MADE = new Map(
  Object.entries(VALUES).map(([value, { sign, word, css }]) => [
    value,
    h("span", { class: `mark ${css}`, role: "img", "aria-label": word }, sign),
  ]),
);

/**
 * @param {string} name as in an address
 * @returns {Value | undefined}
 */
export function valueNamed(name) {
  return ORDER.find((value) => VALUES[value].name === name);
}

/**
 * The sign, with its word for those who hear the page.
 *
 * @param {string} value
 * @returns {HTMLElement}
 */
export function mark(value) {
  const made = MADE.get(value);
  if (!made) {
    throw new Error(`a status is one of ${ORDER.join(" ")}, not ${value}`);
  }
  return /** @type {HTMLElement} */ (made.cloneNode(true));
}

/**
 * What the signs mean.
 *
 * @returns {HTMLElement}
 */
export function legend() {
  return h(
    "ul",
    { class: "legend", "aria-label": "Signs" },
    ORDER.map((value) =>
      h(
        "li",
        null,
        h("span", { class: `mark ${VALUES[value].css}`, "aria-hidden": "true" }, VALUES[value].sign),
        " ",
        VALUES[value].word,
      ),
    ),
  );
}
