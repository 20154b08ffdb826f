// The columns of the list: their names, widths, how a cell looks, and what CSV says.

import { h, link, webAddress } from "./dom.js";
import { sessionPage, subjectPage } from "./ids.js";
import { mark, VALUES } from "./marks.js";

/**
 * @typedef {import("./listing.js").Listing} Listing
 * @typedef {{
 *   name: string, label: string, css: string, width: number,
 *   fill: (cell: HTMLTableCellElement, i: number) => void,
 *   text: (i: number) => string | number | null,
 *   sorts?: [string, string][], about?: string, group?: string,
 * }} Column `width` in rem; `sorts` are other names and labels by which its heading sorts; `about` is longer than the label;
 *   `group` stands above it and its neighbours
 */

/** Shown on a phone, where no more fits. */
const NARROW = ["id", "next"];
/** Not shown where these and the flags do not fit beside one another. */
const WIDE = ["project", "platform", "experiment_day", "rig", "task_version", "notes"];
/** Hidden by default: they follow from the id of the session, or from its flags. */
const UNUSUAL = ["subject", "date", "allen_path", "next"];

/**
 * @param {Listing} list
 * @returns {Column[]}
 */
export function columnsOf(list) {
  /** @type {Column[]} */
  const columns = [
    {
      name: "id",
      label: "Session",
      sorts: [
        ["id", "Session"],
        ["date", "by date"],
      ],
      css: "pinned",
      width: 12.8,
      fill: (cell, i) => cell.append(h("a", { href: sessionPage(list.id[i]), tabindex: "-1" }, list.id[i])),
      text: (i) => list.id[i],
    },
    {
      name: "subject",
      label: "Subject",
      css: "",
      width: 6,
      fill: (cell, i) => cell.append(h("a", { href: subjectPage(list.subject[i]), tabindex: "-1" }, list.subject[i])),
      text: (i) => list.subject[i],
    },
    { ...plain("date", "Date", 7, (i) => list.date[i]), css: "whole" },
    plain("project", "Project", 9.5, coded(list.project)),
    plain("platform", "Platform", 10.4, coded(list.platform)),
    { ...plain("experiment_day", "Day", 3.4, (i) => list.experiment_day[i]), css: "number" },
    plain("rig", "Rig", 7, coded(list.rig)),
    plain("task_version", "Task version", 10.5, coded(list.task_version)),
    plain("allen_path", "Folder", 30, coded(list.allen_path)),
    { ...plain("next", "Next steps", 11, (i) => coded(list.next)(i) || "–"), css: "next" },
    ...list.flags.map((flag) => flagColumn(list, flag)),
    {
      name: "notes",
      label: "Notes, issues",
      css: "notes-cell",
      width: 9,
      fill: (cell, i) => fillNotes(cell, list.notes[i], list.issues[i]),
      text: (i) => [list.notes[i], ...(list.issues[i] ?? [])].filter(Boolean).join(" ") || null,
    },
  ];
  return columns;
}

/**
 * @param {Column[]} columns
 * @param {"narrow" | "medium" | "wide"} width of the window
 */
export function usual(columns, width) {
  const hidden = width === "wide" ? UNUSUAL : [...UNUSUAL, ...WIDE];
  return columns.filter(({ name, css, about }) =>
    width === "narrow" ? NARROW.includes(name) : !hidden.includes(name) && (css !== "flag" || about),
  );
}

/**
 * @param {import("./listing.js").Coded} column
 * @returns {(i: number) => string}
 */
function coded({ values, index }) {
  return (i) => values[index[i]];
}

/**
 * @param {string} name
 * @param {string} label
 * @param {number} width
 * @param {(i: number) => string | number | null} text
 * @returns {Column}
 */
function plain(name, label, width, text) {
  const fill = (/** @type {HTMLTableCellElement} */ cell, /** @type {number} */ i) => {
    const value = text(i);
    cell.textContent = value === null ? "" : String(value);
    cell.title = cell.textContent.length > width * 1.6 ? cell.textContent : "";
    cell.classList.toggle("quiet", value === "unknown");
  };
  return { name, label, css: "", width, fill, text };
}

/**
 * @param {Listing} list
 * @param {string} flag
 * @returns {Column}
 */
function flagColumn(list, flag) {
  const status = list.status[flag];
  const heading = list.headings[flag];
  const label = heading ?? list.labels[flag] ?? flag;
  return {
    name: flag,
    label,
    about: heading && list.labels[flag],
    group: list.groups[flag],
    css: "flag",
    width: headingWidth(label),
    fill: (cell, i) => {
      cell.append(mark(status[i]));
      cell.classList.toggle("u-back", status[i] === "?");
      cell.classList.toggle("a-back", status[i] === "-");
    },
    text: (i) => VALUES[/** @type {import("./marks.js").Value} */ (status[i])].word,
  };
}

/**
 * Of a heading that stands in two lines at most, in rem.
 *
 * @param {string} text
 */
function headingWidth(text) {
  // letters as wide as an m count more
  const length = (/** @type {string} */ part) => part.length + 0.4 * part.replace(/[^mw]/gi, "").length;
  return Math.max(2.2, 0.7 + 0.5 * Math.max(...text.split(" ").map(length), length(text) / 2));
}

/**
 * The columns of a phone: below the id of a session is what it is.
 *
 * @param {Listing} list
 * @param {Column[]} columns
 * @returns {Column[]}
 */
export function withKind(list, columns) {
  const kind = [list.platform, list.rig, list.project].map(coded);
  return columns.map((column) => {
    const fill = (/** @type {HTMLTableCellElement} */ cell, /** @type {number} */ i) => {
      column.fill(cell, i);
      const known = kind.map((text) => text(i)).filter((text) => text !== "unknown");
      cell.append(h("span", { class: "kind" }, known.join(", ")));
    };
    return column.name === "id" ? { ...column, fill } : column;
  });
}

/**
 * @param {HTMLTableCellElement} cell
 * @param {string | undefined} notes
 * @param {string[] | undefined} issues
 */
function fillNotes(cell, notes, issues) {
  for (const issue of issues ?? []) {
    const number = /\/issues\/([0-9]+)/.exec(issue);
    const text = webAddress(issue) ? (number ? `#${number[1]}` : "issue") : issue;
    cell.append(link(issue, text, { tabindex: "-1" }), " ");
  }
  if (notes) {
    cell.append(notes);
    cell.title = notes;
  }
}
