// A view of the list: which sessions, in which order, with which columns. Its address is the view: what is shared is
// seen.

import { VALUES, valueNamed, ORDER } from "./marks.js";
import { FACETS } from "./listing.js";

/**
 * @typedef {import("./listing.js").Facet} Facet
 * @typedef {import("./marks.js").Value} Value
 * @typedef {{
 *   q: string, subject: string, from: string, to: string,
 *   project: string[], platform: string[], rig: string[], event: string,
 *   is: Record<string, Value[]>, sort: string, columns: string[] | null,
 * }} View `event` is `sorted:7d`: what happened in how many days until now; `is` names the wanted values of a flag, any of them; `sort` is a column, with a minus for descending;
 *   `columns` null are the usual ones
 */

const DAY = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/;
/** As many days as data/sessions.json has (`RECENT` in dashboard/past.py). */
const EVENT = /^(new|uploaded|sorted|failed):([1-9]|[12][0-9]|3[01])d$/;
const NAMES = ["q", "subject", "from", "to", "event", ...FACETS, "is", "sort", "columns"];
/** Those that may stand in an address more than once. */
const MANY = ["subject", ...FACETS, "is"];
export const USUAL_SORT = "-date";

/**
 * Everything, the newest first.
 *
 * @returns {View}
 */
export function everything() {
  return {
    q: "",
    subject: "",
    from: "",
    to: "",
    project: [],
    platform: [],
    rig: [],
    event: "",
    is: {},
    sort: USUAL_SORT,
    columns: null,
  };
}

/**
 * The view that an address names, and what in it is not understood: that is told, never dropped silently.
 *
 * @param {string} query `?project=...&is=sorted:no`
 * @param {string[]} flags all flags, `is_sorted` ...
 * @param {string[]} columns all columns by which one can sort
 * @param {Partial<Record<Facet, {values: string[]}>>} [known] the values that there are, found in any case
 * @returns {{view: View, problems: string[]}}
 */
export function readView(query, flags, columns, known = {}) {
  const asked = new URLSearchParams(query);
  const view = everything();
  /** @type {string[]} */
  const problems = [];
  for (const name of new Set(asked.keys())) {
    const values = asked.getAll(name);
    const known = !NAMES.includes(name) ? 0 : MANY.includes(name) ? values.length : 1;
    problems.push(...values.slice(known).map((value) => `${name}=${value}`));
  }
  view.q = asked.get("q") ?? "";
  view.subject = asked.getAll("subject").filter(Boolean).join(",");
  for (const end of /** @type {const} */ (["from", "to"])) {
    const day = asked.get(end) ?? "";
    if (day === "" || isDay(day)) {
      view[end] = day;
    } else {
      problems.push(`${end}=${day}`);
    }
  }
  const event = asked.get("event") ?? "";
  if (event === "" || EVENT.test(event)) {
    view.event = event;
  } else {
    problems.push(`event=${event}`);
  }
  for (const facet of FACETS) {
    const values = known[facet]?.values ?? [];
    const same = (/** @type {string} */ a, /** @type {string} */ b) => a.toLowerCase() === b.toLowerCase();
    const found = asked.getAll(facet).map((value) => values.find((one) => same(one, value)) ?? value);
    view[facet] = [...new Set(found.filter(Boolean))];
  }
  readStatus(asked.getAll("is"), flags, view, problems);
  const sort = asked.get("sort");
  if (sort !== null) {
    if (columns.includes(sort.replace(/^-/, ""))) {
      view.sort = sort;
    } else {
      problems.push(`sort=${sort}`);
    }
  }
  readColumns(asked.get("columns"), columns, view, problems);
  return { view, problems };
}

/** @param {string} text one that no calendar has would filter, and no field would show it */
function isDay(text) {
  const when = new Date(`${text}T00:00:00Z`);
  return DAY.test(text) && !Number.isNaN(when.getTime()) && when.toISOString().startsWith(text);
}

/**
 * @param {string[]} asked `sorted:no,sorted:unknown,uploaded:yes`
 * @param {string[]} flags
 * @param {View} view
 * @param {string[]} problems
 */
function readStatus(asked, flags, view, problems) {
  for (const part of asked.join(",").split(",").filter(Boolean)) {
    const [name, word = ""] = part.split(":");
    const flag = flags.find((known) => known === name || known === `is_${name}`);
    const value = valueNamed(word);
    if (flag && value) {
      const wanted = (view.is[flag] ??= []);
      if (!wanted.includes(value)) {
        wanted.push(value);
      }
    } else {
      problems.push(`is=${part}`);
    }
  }
}

/**
 * @param {string | null} asked
 * @param {string[]} columns
 * @param {View} view
 * @param {string[]} problems
 */
function readColumns(asked, columns, view, problems) {
  if (asked === null) {
    return;
  }
  const names = asked.split(",").filter(Boolean);
  const unknown = names.filter((name) => !columns.includes(name));
  problems.push(...unknown.map((name) => `columns=${name}`));
  // with nothing but unknown ones it asks for none of these: the usual
  view.columns = names.length && unknown.length === names.length ? null : columns.filter((name) => names.includes(name));
}

/**
 * The query of a view, as short as it can be: `readView` of it gives the view again.
 *
 * @param {View} view
 * @returns {string} empty, or with its question mark
 */
export function writeView(view) {
  /** @type {[string, string][]} */
  const pairs = [];
  for (const name of /** @type {const} */ (["q", "subject", "from", "to", "event"])) {
    if (view[name]) {
      pairs.push([name, view[name]]);
    }
  }
  for (const facet of FACETS) {
    pairs.push(...view[facet].map((value) => /** @type {[string, string]} */ ([facet, value])));
  }
  const wanted = Object.entries(view.is).flatMap(([flag, values]) =>
    ORDER.filter((value) => values.includes(value)).map((value) => `${flag.replace(/^is_/, "")}:${VALUES[value].name}`),
  );
  if (wanted.length) {
    pairs.push(["is", wanted.join(",")]);
  }
  if (view.sort !== USUAL_SORT) {
    pairs.push(["sort", view.sort]);
  }
  if (view.columns) {
    pairs.push(["columns", view.columns.join(",")]);
  }
  // colons and commas may stand in a query as they are, and are easier to read there
  const encode = (/** @type {string} */ text) => encodeURIComponent(text).replace(/%3A/g, ":").replace(/%2C/g, ",");
  return pairs.length ? `?${pairs.map(([name, value]) => `${name}=${encode(value)}`).join("&")}` : "";
}

/**
 * The address of the list with only these settings.
 *
 * @param {Partial<View>} some
 */
export function listAddress(some) {
  return `sessions.html${writeView({ ...everything(), ...some })}`;
}

/**
 * An event and the number of days in which it happened; null without one.
 *
 * @param {string} event `sorted:7d`
 * @returns {{name: string, days: number} | null}
 */
export function readEvent(event) {
  const found = EVENT.exec(event);
  return found && { name: found[1], days: Number(found[2]) };
}

/**
 * Whether anything is filtered.
 *
 * @param {View} view
 */
export function isFiltered(view) {
  const all = everything();
  return writeView({ ...view, sort: all.sort, columns: null }) !== "";
}
