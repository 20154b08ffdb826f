// Processing: of each process what would run, is running, waits and failed, and why; its runs, and how long they took.

import { failure, load } from "../data.js";
import { byId, h, link, panel, prose, show, tableHead } from "../dom.js";
import { sessionPage } from "../ids.js";
import { computation, runsTable } from "../runs.js";
import { foot, start } from "../shell.js";
import { counted, duration, number, time } from "../time.js";

/** Verdicts whose sessions are listed: their heading, and what it means. */
const LISTED = /** @type {Record<string, [string, string]>} */ ({
  failed: [
    "Failed",
    "All tries with this input failed. Fix the reason, then `npc-lims process run PROCESS --sessions SESSION --again`.",
  ],
  running: ["Running", "Started, or claimed less than an hour ago."],
  "would run": ["Would run now", "`npc-lims process run` starts these next."],
  waiting: ["Waiting", "Ready, but a limit is reached."],
  captured: ["Captured", "Ran well; its result is not in the state yet."],
});

/** Sessions of a verdict that are shown at first. */
const FIRST = 8;

start();
try {
  draw(await load("processing.json"));
} catch (error) {
  show(byId("content"), failure(error));
}

/** @param {any} data processing.json */
function draw(data) {
  foot(data);
  const { made, processes, problem, verdicts } = data;
  byId("title").after(
    h("p", { class: "quiet" }, prose("What `npc-lims process` would do, planned "), time(made, { age: true })),
  );
  show(
    byId("content"),
    problem
      ? h(
          "div",
          { class: "notice bad", role: "note" },
          h("p", null, `${problem}.`),
          h("p", null, prose("Nothing is planned until `npc-lims validate` accepts the file. Recorded runs are below.")),
        )
      : null,
    processes.length || problem ? null : empty(),
    h(
      "div",
      { class: "stack" },
      processes.length ? summary(processes, verdicts) : null,
      processes.map(process),
    ),
  );
  // the browser scrolls to an anchor before this is drawn
  document.getElementById(location.hash.slice(1))?.scrollIntoView();
  addEventListener("beforeprint", () =>
    byId("content")
      .querySelectorAll("details")
      .forEach((/** @type {any} */ one) => (one.open = true)),
  );
}

function empty() {
  return h(
    "div",
    { class: "notice", role: "note" },
    h("p", null, "No processes are configured, and no runs are recorded."),
    h(
      "p",
      null,
      prose(
        "`pipelines.yaml` beside `tracked_sessions.yaml` declares what runs on Code Ocean, for which sessions and how " +
          "many at once: see docs/processing.md. Then build the site again.",
      ),
    ),
  );
}

/**
 * @param {any[]} processes
 * @param {string[]} verdicts
 */
function summary(processes, verdicts) {
  const columns = [...Object.keys(LISTED), ...verdicts.filter((verdict) => !(verdict in LISTED))];
  const names = ["Process", ...columns, "Median", "Longest"];
  return panel(
    { id: "summary", title: "All processes", beside: h("span", { class: "quiet" }, "numbers of sessions, and durations") },
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of all processes" },
      h(
        "table",
        { class: "plain verdicts" },
        h("caption", { class: "hidden" }, "Sessions by verdict, and durations of runs, by process"),
        tableHead(names.map((name) => name[0].toUpperCase() + name.slice(1))),
        h(
          "tbody",
          null,
          processes.map(({ name, settings, counts, seconds }) =>
            h(
              "tr",
              null,
              h("th", { scope: "row" }, h("a", { href: `#process-${name}` }, name)),
              columns.map((verdict) => cell(verdict, settings ? counts[verdict] : null)),
              [seconds.median, seconds.longest].map((value) =>
                h("td", { class: "when" }, value === null ? "–" : duration(value)),
              ),
            ),
          ),
        ),
      ),
    ),
  );
}

/**
 * @param {string} verdict
 * @param {number | null} count null where nothing is planned
 */
function cell(verdict, count) {
  const css = count ? (verdict === "failed" ? "count bad" : verdict in LISTED ? "count" : "") : "quiet";
  return h("td", { class: css }, count === null ? "–" : number(count));
}

/** @param {any} process */
function process({ name, settings, counts, listed, others, states, runs, seconds }) {
  const groups = Object.entries(LISTED).filter(([verdict]) => listed[verdict]);
  return panel(
    {
      id: `process-${name}`,
      title: name,
      css: "long process",
      beside: settings ? link(settings.target.url, `${settings.target.kind} on Code Ocean`) : null,
    },
    h("p", { class: "quiet" }, settings ? described(settings) : notConfigured(name)),
    groups.map(([verdict, [title, meaning]]) => group(title, meaning, counts[verdict], listed[verdict], verdict)),
    settings && !groups.length ? h("p", null, "Nothing is running, ready or failed.") : null,
    others.length ? notListed(others) : null,
    runs.length ? recorded(name, states, runs, seconds) : h("p", { class: "quiet more" }, "No runs are recorded."),
  );
}

/** @param {any} settings */
function described({ input, done, needs, running, tries }) {
  const needed = needs.map((/** @type {any} */ one) => one.label).join(", ");
  return (
    `Takes the ${input} asset of a session until it has “${done.label}”` +
    (needed ? `; needs ${needed}` : "") +
    `. At most ${number(running)} at once, ${counted(tries, "try", "tries")} for each input.`
  );
}

/** @param {string} name */
function notConfigured(name) {
  return prose(`\`pipelines.yaml\` has no process ${name} that can be planned: these are its recorded runs.`);
}

/**
 * @param {string} title
 * @param {string} meaning
 * @param {number} total
 * @param {any[]} items
 * @param {string} verdict
 */
function group(title, meaning, total, items, verdict) {
  const left = total - items.length;
  return h(
    "section",
    { class: "group" },
    h("h3", { class: verdict === "failed" ? "bad" : null }, `${title} (${number(total)})`),
    h("p", { class: "quiet" }, prose(meaning)),
    h("ul", { class: "decisions" }, items.slice(0, FIRST).map((one) => decision(one, verdict))),
    items.length > FIRST
      ? h(
          "details",
          null,
          h("summary", null, `${number(items.length - FIRST)} more`),
          h("ul", { class: "decisions" }, items.slice(FIRST).map((one) => decision(one, verdict))),
        )
      : null,
    left ? h("p", { class: "quiet" }, `${number(left)} more are not listed here: npc-lims process plan --all`) : null,
  );
}

/**
 * @param {any} one
 * @param {string} verdict
 */
function decision({ session, reason, try: attempt, input, run }, verdict) {
  const isRun = run && ["running", "failed", "captured"].includes(verdict);
  const isPlain = reason === "running" || reason === "ready";
  const why = attempt > 1 && !reason.startsWith("try") ? `try ${attempt}: ${reason}` : isPlain ? null : reason;
  return h(
    "li",
    null,
    h("a", { href: sessionPage(session), class: "session" }, session),
    why ? h("span", { class: "why" }, why) : null,
    isRun ? h("span", { class: "quiet" }, "since ", time(run.since, { age: true })) : null,
    input && !isRun ? h("span", { class: "asset" }, link(input.url, input.name ?? input.id)) : null,
    isRun && run.asset ? h("span", { class: "asset" }, link(run.asset.url, run.asset.name ?? run.asset.id)) : null,
    isRun ? computation(run) : null,
  );
}

/** @param {any[]} others */
function notListed(others) {
  /** @type {Map<string, number>} */
  const totals = new Map();
  for (const { verdict, total } of others) {
    totals.set(verdict, (totals.get(verdict) ?? 0) + total);
  }
  const summary = [...totals].map(([verdict, total]) => `${number(total)} ${verdict}`).join(", ");
  return h(
    "details",
    null,
    h("summary", null, h("h3", null, `All other sessions: ${summary}`)),
    h(
      "table",
      { class: "plain reasons" },
      h("caption", { class: "hidden" }, "Why the other sessions do not run"),
      tableHead(["Sessions", "Verdict", "Why", "Such as"]),
      h("tbody", null, others.map(reason)),
    ),
  );
}

/** @param {any} one */
function reason({ verdict, reason, total, sessions }) {
  const links = sessions
    .slice(0, 3)
    .map((/** @type {string} */ id, /** @type {number} */ index) => [
      index ? ", " : "",
      h("a", { href: sessionPage(id) }, id),
    ]);
  return h(
    "tr",
    null,
    h("td", { class: "number" }, number(total)),
    h("td", null, verdict),
    h("td", null, reason),
    h("td", { class: "such" }, links.flat(), total > 3 ? " ..." : null),
  );
}

/**
 * @param {string} name
 * @param {Record<string, number>} states
 * @param {any[]} runs
 * @param {any} seconds
 */
function recorded(name, states, runs, seconds) {
  const total = Object.values(states).reduce((sum, count) => sum + count, 0);
  const counts = Object.entries(states).map(([state, count]) => `${number(count)} ${state}`);
  const lasting = seconds.median === null ? [] : [`median ${duration(seconds.median)} of those that ended well`];
  return h(
    "details",
    null,
    h("summary", null, h("h3", null, `${counted(total, "run")}: ${[...counts, ...lasting].join(", ")}`)),
    runsTable(runs, { caption: `Runs of ${name}, the newest first` }),
    total > runs.length
      ? h("p", { class: "quiet more" }, `The newest ${number(runs.length)}; npc-lims process runs ${name} lists all.`)
      : null,
    h(
      "p",
      { class: "quiet more" },
      prose(`On Code Ocean each run has the name \`npc_lims ${name} SESSION INPUT try N CLAIM\`.`),
    ),
  );
}
