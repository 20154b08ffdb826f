// All sessions, as columns: the same index is the same session. Ten thousand objects would cost more than they tell.

import { parts } from "./ids.js";

/**
 * @typedef {{values: string[], index: number[]}} Coded a column of few values: `values[index[i]]`
 * @typedef {"project" | "platform" | "rig"} Facet
 * @typedef {{
 *   count: number, made: string, flags: string[], labels: Record<string, string>,
 *   id: string[], subject: string[], date: string[], number: Uint8Array,
 *   project: Coded, platform: Coded, rig: Coded, task_version: Coded, experiment_day: (number | null)[],
 *   status: Record<string, string>, events: Record<string, Record<string, number[]>>, notes: Record<string, string>, issues: Record<string, string[]>,
 *   words: () => string[],
 * }} Listing
 */

/** @type {readonly Facet[]} */
export const FACETS = ["project", "platform", "rig"];

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
  let words = null;
  const { id, task_version: task, notes } = data;
  // only who searches pays for it
  const makeWords = () =>
    Array.from({ length: count }, (_, i) => `${id[i]} ${task.values[task.index[i]]} ${notes[i] ?? ""}`.toLowerCase());
  return { ...data, count, subject, date, number, words: () => (words ??= makeWords()) };
}
