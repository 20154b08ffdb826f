// One session: its status, the facts of each source, where its files are, and its history.

import { DataError, failure, load } from "../data.js";
import { byId, copyButton, h, link, panel, prose, show, webAddress } from "../dom.js";
import { facts, fileTable, section } from "../facts.js";
import { parts, sessionIn, sessionPage, subjectPage } from "../ids.js";
import { legend, mark } from "../marks.js";
import { explainUnknown } from "../missing.js";
import { runsTable } from "../runs.js";
import { foot, start } from "../shell.js";
import { ago, time } from "../time.js";
import { listAddress } from "../view.js";

/** Verdicts of a process that has nothing to do for a session. */
const IDLE = ["done", "not ready"];

start();
const asked = (new URLSearchParams(location.search).get("id") ?? "").trim();
try {
  await run();
} catch (error) {
  show(byId("content"), failure(error));
}

async function run() {
  const id = sessionIn(asked);
  const data = id ? await subjectOf(id) : null;
  const session = data?.sessions.find((/** @type {any} */ one) => one.id === id);
  if (!session) {
    await explainUnknown("session", id ?? asked);
    return;
  }
  foot(data);
  draw(session, data);
}

/**
 * @param {string} id
 * @returns {Promise<any>} null if there is no such subject
 */
async function subjectOf(id) {
  try {
    return await load(`subjects/${parts(id).subject}.json`);
  } catch (error) {
    if (error instanceof DataError && error.status === 404) {
      return null;
    }
    throw error;
  }
}

/**
 * @param {any} session
 * @param {any} data of the subject
 */
function draw(session, { sessions: siblings, sources }) {
  const { subject } = parts(session.id);
  document.title = `${session.id} · npc_lims`;
  byId("title").replaceChildren(
    "Session ",
    h("span", { class: "id" }, session.id),
    copyButton(session.id, "the id") ?? "",
  );
  byId("title").parentElement.append(
    actions(session),
    h(
      "nav",
      { class: "crumbs neighbours", "aria-label": "Sessions of the subject" },
      h("a", { href: subjectPage(subject) }, `All of subject ${subject}`),
      neighbours(session, siblings),
    ),
  );
  show(
    byId("content"),
    glance(session),
    h(
      "div",
      { class: "grid thirds" },
      nextSteps(session),
      notes(session),
    ),
    files(session),
    h("div", { class: "grid thirds" }, statuses(session), timeline(session)),
    runs(session),
    recorded(session, sources),
  );
}

/**
 * @param {any} session
 * @param {any[]} siblings
 */
function neighbours(session, siblings) {
  const ids = siblings.map(({ id }) => id).sort();
  const at = ids.indexOf(session.id);
  return [
    at > 0
      ? h(
          "a",
          { href: sessionPage(ids[at - 1]), rel: "prev" },
          `← ${ids[at - 1].slice(parts(session.id).subject.length + 1)}`,
        )
      : null,
    at < ids.length - 1
      ? h(
          "a",
          { href: sessionPage(ids[at + 1]), rel: "next" },
          `${ids[at + 1].slice(parts(session.id).subject.length + 1)} →`,
        )
      : null,
  ];
}

/** @param {any} session */
function actions({ links }) {
  const button = (/** @type {string | null} */ address, /** @type {string} */ text, css = "") =>
    webAddress(address) ? link(address, text, { class: `button ${css}` }) : null;
  return h(
    "div",
    { class: "actions no-print" },
    button(links.edit, "Suggest an edit", "first"),
    button(links.new_issue, "Report a wrong fact"),
  );
}

/** @param {any} session */
function glance(session) {
  const { subject } = parts(session.id);
  /** @type {[string, any][]} */
  const values = [
    ["Subject", h("a", { href: subjectPage(subject) }, subject)],
    ["Project", h("a", { href: listAddress({ project: [session.project] }) }, session.project)],
    ["Platform", session.platform],
    ["Experiment day", session.experiment_day ?? "–"],
    ["Rig", session.rig],
    ["Task version", session.task_version],
    [
      "Folder",
      h("span", null, h("span", { class: "code" }, session.allen_path), copyButton(session.allen_path, "the folder")),
    ],
  ];
  return h(
    "dl",
    { class: "glance" },
    values.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))),
  );
}

/** @param {any} session */
function nextSteps({ next, plan, no_next: none }) {
  const flags = next.map((/** @type {any} */ one) => one.flag);
  // also where nobody waits for it, such as of a session that is not for production
  const others = plan.filter((/** @type {any} */ one) => !flags.includes(one.flag) && !IDLE.includes(one.verdict));
  const steps = [
    ...next.map((/** @type {any} */ one) => step(one, plan)),
    ...others.map((/** @type {any} */ one) => [h("dt", null, one.process), h("dd", null, decision(one))]),
  ];
  return panel(
    { id: "next", title: steps.length > 1 ? "Next steps" : "Next step" },
    steps.length
      ? h("dl", { class: "facts steps" }, steps.flat())
      : h("p", { class: "quiet" }, none),
  );
}

/**
 * @param {any} step
 * @param {any[]} plan what each process would do for the session
 */
function step({ flag, label, sentence, process }, plan) {
  const decisions = plan.filter((one) => one.flag === flag);
  return [
    h("dt", null, label),
    h(
      "dd",
      null,
      prose(sentence),
      process ? h("span", { class: "quiet" }, ` By ${process}.`) : null,
      decisions.map(decision),
    ),
  ];
}

/** @param {any} one what a process would do */
function decision({ process: name, verdict, reason }) {
  const link = h("a", { href: `processing.html#process-${name}` }, name);
  return h("p", { class: "decision" }, link, `: ${verdict}`, reason === verdict ? "" : `, ${reason}`);
}

/** @param {any} session */
function runs({ runs }) {
  return runs.length
    ? panel({ id: "runs", title: "Runs", css: "long" }, runsTable(runs, { caption: "Runs on Code Ocean", process: true }))
    : null;
}

/** @param {any} session */
function statuses({ status }) {
  /** @type {Map<string, any[]>} */
  const groups = new Map();
  for (const one of status) {
    groups.set(one.group, [...(groups.get(one.group) ?? []), one]);
  }
  return panel(
    { id: "status", title: "Status", css: "long", beside: legend() },
    h(
      "table",
      { class: "plain status" },
      h("caption", { class: "hidden" }, "Status flags, and what they say of the session"),
      [...groups].map(([group, flags]) =>
        h(
          "tbody",
          null,
          h("tr", { class: "group" }, h("th", { colspan: 2, scope: "rowgroup" }, group)),
          flags.map(({ label, value, sentence }) =>
            h(
              "tr",
              { class: value === "-" ? "apart" : null },
              h("th", { scope: "row" }, mark(value), " ", label),
              h("td", { class: "why" }, prose(sentence)),
            ),
          ),
        ),
      ),
    ),
  );
}

/** @param {any} session */
function files({ files, missing }) {
  return panel({ id: "files", title: "Assets and files", css: "long" }, fileTable(files, missing));
}

/**
 * What each source has recorded; what is above follows from it.
 *
 * @param {any} session
 * @param {Record<string, string>} sources their names
 */
function recorded(session, sources) {
  return h(
    "div",
    { class: "grid halves recorded" },
    Object.entries(sources).map((entry) => plainSection(session, entry)),
  );
}

/**
 * @param {any} session
 * @param {[string, string]} section and its source
 */
function plainSection({ facts: recorded, links }, [source, label]) {
  const inTracked =
    source === "tracked" && links.tracked_line
      ? h("p", { class: "quiet more" }, `Line ${links.tracked_line} of tracked_sessions.yaml`)
      : null;
  return panel(
    { id: source, title: `Recorded: ${label}` },
    section(recorded[source], source === "training" ? cells : facts),
    inTracked,
  );
}

/** @param {Record<string, any>} row of a workbook: a cell without anything is empty, it was read */
function cells(row) {
  return facts(Object.fromEntries(Object.entries(row).map(([name, value]) => [name, value ?? "–"])));
}

/** @param {any} session */
function notes({ notes, issues, links }) {
  return panel(
    { id: "notes", title: "Notes and issues" },
    notes ? h("p", { class: "notes" }, notes) : h("p", { class: "quiet" }, "No notes."),
    h(
      "ul",
      { class: "links" },
      issues.map((/** @type {string} */ issue) => h("li", null, link(issue, issueName(issue)))),
      links.state_file ? h("li", null, link(links.state_file, "State file")) : null,
      links.state_history ? h("li", null, link(links.state_history, "Its history on GitHub")) : null,
    ),
  );
}

/** @param {string} issue */
function issueName(issue) {
  const number = /\/(?:issues|pull)\/([0-9]+)/.exec(issue);
  return webAddress(issue) && number ? `Issue #${number[1]}` : issue;
}

/** @param {any} session */
function timeline({ timeline }) {
  return panel(
    { id: "timeline", title: "Timeline", css: "long" },
    timeline.length
      ? h("ol", { class: "timeline" }, timeline.map(event))
      : h("p", { class: "quiet" }, "Nothing is recorded: the timeline is read from the commits of the state folder."),
  );
}

/** @param {any} event */
function event({ when, what, details, commit, commit_url: address, run_url: run, editors }) {
  return h(
    "li",
    null,
    h("h3", null, time(when), h("span", { class: "quiet" }, `, ${ago(when)}`)),
    h("p", { class: "what" }, what.join(", ")),
    h(
      "ul",
      { class: "details" },
      details.map((/** @type {string} */ detail) => h("li", null, detail)),
    ),
    h(
      "ul",
      { class: "details" },
      editors.map((/** @type {any} */ editor) =>
        h("li", null, "edited by ", editor.name, ": ", link(editor.url, editor.subject)),
      ),
    ),
    h(
      "p",
      { class: "links" },
      h("span", null, "commit ", link(address, h("span", { class: "code" }, commit.slice(0, 10)))),
      run ? link(run, "workflow run") : null,
    ),
  );
}
