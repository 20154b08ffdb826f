// Runs on Code Ocean, as a table; a session's page and that of all processes show them alike.

import { copyButton, h, link, tableHead } from "./dom.js";
import { sessionPage } from "./ids.js";
import { duration, hoursSince, time } from "./time.js";

/** What a state says: `RunState` in processing/runs.py. */
const MEANING = /** @type {Record<string, string>} */ ({
  claimed: "not known to be started",
  running: "running at the last query",
  succeeded: "its result is not captured",
  captured: "its result is a data asset, for its owner",
  shared: "its result is a data asset, for everyone",
  errored: "it failed",
});

/**
 * @param {any[]} runs as `run_part` in dashboard/site/processing.py makes them
 * @param {{caption: string, process?: boolean}} options whether the table names the process in place of the session
 * @returns {HTMLElement}
 */
export function runsTable(runs, { caption, process = false }) {
  const names = [process ? "Process" : "Session", "Try", "State", "Started", "Duration", "Result, or what went wrong"];
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      { class: "plain runs" },
      h("caption", { class: "hidden" }, caption),
      tableHead([...names, "Computation"]),
      h("tbody", null, runs.map((run) => row(run, process))),
    ),
  );
}

/**
 * @param {any} run
 * @param {boolean} process
 */
function row(run, process) {
  const { state, reason, asset } = run;
  return h(
    "tr",
    null,
    h("th", { scope: "row" }, process ? run.process : h("a", { href: sessionPage(run.session) }, run.session)),
    h("td", null, run.try),
    h("td", { class: "state" }, h("span", { class: `state ${state}`, title: MEANING[state] }, state)),
    h("td", { class: "when" }, time(run.since)),
    h("td", { class: "when" }, lasted(run)),
    h("td", { class: "result" }, reason || (asset ? link(asset.url, shortName(asset), { title: asset.name ?? asset.id }) : "")),
    h("td", { class: "when" }, computation(run)),
  );
}

/** @param {any} run */
function lasted({ state, seconds, since }) {
  if (state === "running") {
    return `${duration(Math.max(0, 3600 * hoursSince(since)))} so far`;
  }
  return seconds === null ? "–" : duration(seconds);
}

/**
 * The name of a result without that of its recording, which the session names.
 *
 * @param {{id: string, name: string | null}} asset
 */
function shortName({ id, name }) {
  return (name ?? id).split("_").slice(4).join("_") || (name ?? id);
}

/**
 * The id of a run on Code Ocean, to be copied: there is no address of a single run.
 *
 * @param {any} run
 */
export function computation({ computation: id, by }) {
  return h(
    "span",
    { class: "computation" },
    id ? [h("span", { class: "code", title: id }, id.slice(0, 8)), copyButton(id, `the id of the computation ${id}`)] : "–",
    by ? [" ", link(by, "workflow run")] : null,
  );
}
