// Which sessions a view shows. Pure, and quick enough to be asked at every key: one pass over the columns that matter.

import { sessionIn } from "./ids.js";
import { FACETS, searchable } from "./listing.js";
import { hoursSince } from "./time.js";
import { readEvent } from "./view.js";

/**
 * @typedef {import("./listing.js").Listing} Listing
 * @typedef {import("./listing.js").Facet} Facet
 * @typedef {import("./view.js").View} View
 * @typedef {(i: number) => boolean} Test
 */

/**
 * Of the sessions in *order* those that *view* shows, in that order.
 *
 * @param {Listing} list
 * @param {View} view
 * @param {ArrayLike<number>} order
 * @returns {number[]}
 */
export function shown(list, view, order) {
  const tests = testsOf(list, view);
  /** @type {number[]} */
  const found = [];
  each: for (let n = 0; n < order.length; n++) {
    const i = order[n];
    for (const test of tests) {
      if (!test(i)) {
        continue each;
      }
    }
    found.push(i);
  }
  return found;
}

/**
 * One test for each thing that the view asks for, the cheapest first.
 *
 * @param {Listing} list
 * @param {View} view
 * @returns {Test[]}
 */
function testsOf(list, view) {
  /** @type {Test[]} */
  const tests = [];
  for (const [flag, values] of Object.entries(view.is)) {
    const wanted = values.join("");
    const status = list.status[flag];
    tests.push((i) => wanted.includes(status[i]));
  }
  for (const facet of FACETS) {
    if (view[facet].length) {
      const { values, index } = list[facet];
      const wanted = values.map((value) => view[facet].includes(value));
      tests.push((i) => wanted[index[i]]);
    }
  }
  if (view.from) {
    tests.push((i) => list.date[i] >= view.from);
  }
  if (view.to) {
    tests.push((i) => list.date[i] <= view.to);
  }
  const event = readEvent(view.event);
  if (event) {
    const recent = Object.entries(list.events[event.name]).filter(([when]) => hoursSince(when) <= 24 * event.days);
    const sessions = new Set(recent.flatMap(([, some]) => some));
    tests.push((i) => sessions.has(i));
  }
  const subjects = splitWords(view.subject);
  if (subjects.length) {
    tests.push((i) => subjects.some((subject) => list.subject[i].startsWith(subject)));
  }
  // the name of any file of a session, and other ways to write its id, name the session
  const words = splitWords(searchable(view.q), /\s+/).map((word) => ({ word, id: sessionIn(word) }));
  if (words.length) {
    const texts = list.texts();
    tests.push((i) => words.every(({ word, id }) => texts[i].includes(word) || list.id[i] === id));
  }
  return tests;
}

/**
 * @param {string} text
 * @param {RegExp} [between]
 */
function splitWords(text, between = /[\s,;]+/) {
  return text.split(between).filter(Boolean);
}

/**
 * How many sessions each value of *facet* would show, with all else of the view as it is.
 *
 * @param {Listing} list
 * @param {View} view
 * @param {Facet} facet
 * @param {ArrayLike<number>} order
 * @returns {number[]} in the order of the facet's values
 */
export function countFacet(list, view, facet, order) {
  const { values, index } = list[facet];
  const counts = new Array(values.length).fill(0);
  for (const i of shown(list, { ...view, [facet]: [] }, order)) {
    counts[index[i]]++;
  }
  return counts;
}

/**
 * The same for the values of each flag.
 *
 * @param {Listing} list
 * @param {View} view
 * @param {ArrayLike<number>} order
 * @returns {Record<string, Record<string, number>>} by flag and value
 */
export function countStatuses(list, view, order) {
  const all = shown(list, view, order);
  /** @type {Record<string, Record<string, number>>} */
  const counts = {};
  for (const flag of list.flags) {
    const { [flag]: own, ...others } = view.is;
    const sessions = own ? shown(list, { ...view, is: others }, order) : all;
    const status = list.status[flag];
    const count = { y: 0, n: 0, "?": 0, "-": 0 };
    for (const i of sessions) {
      count[/** @type {import("./marks.js").Value} */ (status[i])]++;
    }
    counts[flag] = count;
  }
  return counts;
}
