// The files under data/, and what to say where one cannot be read.

import { h, prose } from "./dom.js";

const FORMAT = 1;

/** A data file that could not be read: what was found, and what to do. */
export class DataError extends Error {
  /**
   * @param {string} message
   * @param {string} remedy
   * @param {number | null} [status] the answer, where there was one
   */
  constructor(message, remedy, status = null) {
    super(message);
    this.remedy = remedy;
    this.status = status;
  }
}

/**
 * @param {string} path below `data/`
 * @returns {Promise<any>}
 * @throws {DataError}
 */
export async function load(path) {
  const address = `data/${path}`;
  let response;
  try {
    response = await fetch(address);
  } catch {
    throw new DataError(
      `${address} could not be fetched.`,
      "Check the network and reload this page. A page opened as a file cannot fetch: serve the folder with " +
        "`npc-lims site serve`.",
    );
  }
  if (!response.ok) {
    throw new DataError(
      `${address} could not be read: the server answered ${response.status}.`,
      "Reload this page. If that does not help, the site is not whole: build it again with `npc-lims site build`.",
      response.status,
    );
  }
  let data;
  try {
    data = await response.json();
  } catch {
    throw new DataError(
      `${address} is no whole JSON file.`,
      "Reload this page: the site may just be published anew. If that does not help, build it again with " +
        "`npc-lims site build`.",
    );
  }
  if (data?.format !== FORMAT) {
    throw new DataError(
      `${address} has format ${data?.format}; this page reads format ${FORMAT}.`,
      "Reload this page without the browser's cache (Ctrl+Shift+R, on a Mac Cmd+Shift+R): the site was published anew.",
    );
  }
  return data;
}

/**
 * What a page shows in place of what it could not read.
 *
 * @param {unknown} error
 * @returns {HTMLElement}
 */
export function failure(error) {
  if (!(error instanceof DataError)) {
    throw error;
  }
  return h(
    "div",
    { class: "notice bad", role: "alert" },
    h("p", null, error.message),
    h("p", null, prose(error.remedy)),
  );
}
