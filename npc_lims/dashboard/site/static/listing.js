// All sessions, as columns: the same index is the same session. Ten thousand objects would cost more than they tell.

import { parts } from "./ids.js";

/**
 * @typedef {{values: string[], index: number[]}} Coded a column of few values: `values[index[i]]`
 * @typedef {"project" | "platform" | "rig"} Facet
 * @typedef {{
 *   count: number, made: string, flags: string[], labels: Record<string, string>,
 *   headings: Record<string, string>, groups: Record<string, string>, next: Coded, words: Record<string, string>,
 *   id: string[], subject: string[], date: string[], number: Uint8Array,
 *   project: Coded, platform: Coded, rig: Coded, task_version: Coded, allen_path: Coded,
 *   experiment_day: (number | null)[], status: Record<string, string>,
 *   events: Record<string, Record<string, number[]>>, notes: Record<string, string>, feeds: Record<string, string>,
 *   issues: Record<string, string[]>,
 *   texts: () => string[],
 * }} Listing `headings` are short, of the flags that are usually shown; `next` are the next steps of a session; `words`
 *   and `texts` are what else, and all, that it is searched by
 */

/** @type {readonly Facet[]} */
export const FACETS = ["project", "platform", "rig"];

/**
 * A text as it is compared: a folder is found however Windows writes it.
 *
 * @param {string} text
 */
export function searchable(text) {
  return text.toLowerCase().replaceAll("\\", "/");
}

/**
 * @param {any} data sessions.json
 * @returns {Listing}
 */
export function listing(data) {
  const count = data.id.length;
  const subject = new Array(count);
  const date = new Array(count);
  const number = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const part = parts(data.id[i]);
    subject[i] = part.subject;
    date[i] = part.date;
    number[i] = part.index;
  }
  /** @type {string[] | null} */
  let texts = null;
  const coded = [data.project, data.platform, data.rig, data.task_version, data.allen_path, data.next];
  // only who searches pays for it
  const makeTexts = () =>
    Array.from({ length: count }, (_, i) => {
      const parts = [data.id[i], ...coded.map(({ values, index }) => values[index[i]]), data.notes[i], data.words[i]];
      return searchable([...parts, ...(data.issues[i] ?? [])].join(" "));
    });
  return { ...data, count, subject, date, number, texts: () => (texts ??= makeTexts()) };
}
