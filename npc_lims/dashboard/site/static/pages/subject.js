// One subject: its sessions by date, and how far each is.

import { DataError, failure, load } from "../data.js";
import { byId, h, panel, show } from "../dom.js";
import { sessionPage } from "../ids.js";
import { legend, mark } from "../marks.js";
import { explainUnknown } from "../missing.js";
import { feedLink, foot, start } from "../shell.js";
import { counted } from "../time.js";
import { listAddress } from "../view.js";

start();
const asked = (new URLSearchParams(location.search).get("id") ?? "").trim();
try {
  await run();
} catch (error) {
  show(byId("content"), failure(error));
}

async function run() {
  // it becomes part of an address: a subject is a number, whatever the page was asked for
  if (!/^[0-9]+$/.test(asked)) {
    await explainUnknown("subject", asked);
    return;
  }
  let data;
  try {
    data = await load(`subjects/${asked}.json`);
  } catch (error) {
    if (error instanceof DataError && error.status === 404) {
      await explainUnknown("subject", asked);
      return;
    }
    throw error;
  }
  foot(data);
  draw(data);
}

/** @param {any} data subjects/<subject>.json */
function draw({ subject, sessions, feed }) {
  document.title = `${subject} · npc_lims`;
  byId("title").replaceChildren("Subject ", h("span", { class: "id" }, subject));
  const byDate = [...sessions].sort((a, b) => (a.id < b.id ? -1 : 1));
  const first = byDate[0].id.split("_")[1];
  const last = byDate[byDate.length - 1].id.split("_")[1];
  const all = (/** @type {string} */ name) => [...new Set(byDate.map((session) => session[name]))].join(", ");
  show(
    byId("content"),
    h(
      "dl",
      { class: "glance" },
      fact("Sessions", h("a", { href: listAddress({ subject }) }, counted(byDate.length, "session"))),
      fact("From", first),
      fact("To", last),
      fact("Projects", all("project")),
      fact("Platforms", all("platform")),
      fact("Rigs", all("rig")),
      feed ? fact("Changes", feedLink(feed, `Changes of subject ${subject}`)) : null,
    ),
    panel(
      { id: "sessions", title: "Sessions by date", css: "long", beside: legend() },
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of sessions" }, matrix(byDate)),
    ),
  );
}

/**
 * @param {string} name
 * @param {any} value
 */
function fact(name, value) {
  return h("div", null, h("dt", null, name), h("dd", null, value));
}

/** @param {any[]} sessions */
function matrix(sessions) {
  const texts = [
    ["Day", "number"],
    ["Project", ""],
    ["Platform", ""],
    ["Rig", ""],
    ["Task version", ""],
  ];
  return h(
    "table",
    { class: "plain matrix" },
    h("caption", { class: "hidden" }, "Sessions by date, and their statuses"),
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        h("th", { scope: "col" }, "Session"),
        sessions[0].status
          .filter(isUsual)
          .map((/** @type {any} */ one) => h("th", { scope: "col", class: "flag", title: one.label }, one.heading)),
        texts.map(([name, css]) => h("th", { scope: "col", class: css }, name)),
        h("th", { scope: "col" }, "Notes"),
      ),
    ),
    h("tbody", null, sessions.map(row)),
  );
}

/** @param {any} flag shown in a table; the page of the session has all */
function isUsual({ heading }) {
  return heading !== "";
}

/** @param {any} session */
function row(session) {
  return h(
    "tr",
    null,
    h("th", { scope: "row" }, h("a", { href: sessionPage(session.id) }, session.id)),
    session.status
      .filter(isUsual)
      .map((/** @type {any} */ one) => h("td", { class: one.value === "-" ? "flag a-back" : "flag" }, mark(one.value))),
    h("td", { class: "number" }, session.experiment_day ?? ""),
    [session.project, session.platform, session.rig, session.task_version].map((text) =>
      h("td", { class: text === "unknown" ? "quiet" : null }, text),
    ),
    h("td", { class: "note" }, session.notes),
  );
}
