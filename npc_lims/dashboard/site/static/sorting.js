// The order of all sessions by a column. Found once for each column and direction: filtering keeps it.

import { ORDER } from "./marks.js";

/** @typedef {import("./listing.js").Listing} Listing */

/**
 * @param {Listing} list
 * @returns {(sort: string) => Uint32Array} by the name of a column, with a minus for descending; what has no value
 *   comes last
 */
export function sorter(list) {
  /** @type {Map<string, Uint32Array>} */
  const known = new Map();
  return (sort) => {
    let order = known.get(sort);
    if (!order) {
      order = ordered(list, sort);
      known.set(sort, order);
    }
    return order;
  };
}

/**
 * @param {Listing} list
 * @param {string} sort
 * @returns {Uint32Array}
 */
function ordered(list, sort) {
  const descending = sort.startsWith("-");
  const column = sort.replace(/^-/, "");
  const ranks = ranksOf(list, column);
  const order = Uint32Array.from({ length: list.count }, (_, i) => i);
  const sign = descending ? -1 : 1;
  // sessions that are alike stay as they come: the newest first
  return order.sort((a, b) => (ranks[a] === ranks[b] ? a - b : missing(ranks, a, b) || sign * (ranks[a] - ranks[b])));
}

/**
 * @param {Float64Array} ranks
 * @param {number} a
 * @param {number} b
 */
function missing(ranks, a, b) {
  return Number(ranks[a] === Infinity) - Number(ranks[b] === Infinity);
}

/**
 * A number for each session, so that sorting compares numbers alone; infinity where there is no value.
 *
 * @param {Listing} list
 * @param {string} column
 * @returns {Float64Array}
 */
function ranksOf(list, column) {
  const ranks = new Float64Array(list.count);
  const fill = (/** @type {(i: number) => number} */ rank) => {
    for (let i = 0; i < list.count; i++) {
      ranks[i] = rank(i);
    }
    return ranks;
  };
  const day = (/** @type {number} */ i) => Number(list.date[i].replaceAll("-", "")) * 100 + list.number[i];
  switch (column) {
    case "id":
      // six or seven digits of subject, eight of the day, two of the number: exact in a double
      return fill((i) => Number(list.subject[i]) * 1e8 + day(i) - 20_000_000_00);
    case "subject":
      return fill((i) => Number(list.subject[i]));
    case "date":
      return fill(day);
    case "experiment_day":
      return fill((i) => list.experiment_day[i] ?? Infinity);
    case "notes":
      return rankTexts(list, ranks);
    case "project":
    case "platform":
    case "rig":
    case "task_version":
    case "allen_path":
    case "next": {
      const { values, index } = list[column];
      const alphabetical = [...values].sort(new Intl.Collator("en", { numeric: true }).compare);
      const rank = values.map((value) => (value === "unknown" || value === "" ? Infinity : alphabetical.indexOf(value)));
      return fill((i) => rank[index[i]]);
    }
    default: {
      const status = list.status[column];
      if (status === undefined) {
        throw new Error(`there is no column ${column}`);
      }
      const order = ORDER.join("");
      return fill((i) => (status[i] === "-" ? Infinity : order.indexOf(status[i])));
    }
  }
}

/**
 * @param {Listing} list
 * @param {Float64Array} ranks
 */
function rankTexts(list, ranks) {
  const { compare } = new Intl.Collator("en", { numeric: true });
  ranks.fill(Infinity);
  Object.keys(list.issues).forEach((i) => (ranks[Number(i)] = Object.keys(list.notes).length));
  Object.entries(list.notes)
    .sort(([, a], [, b]) => compare(a, b))
    .forEach(([i], rank) => (ranks[Number(i)] = rank));
  return ranks;
}
