// The overview: totals, ages of the sources, pipeline progress, what needs attention, recent changes.

import { attention } from "../attention.js";
import { DEPTHS, monthsChart, monthsTable } from "../chart.js";
import { SOURCES, failure, load } from "../data.js";
import { byId, chartKey, h, panel, prose, show, tableHead } from "../dom.js";
import { recent } from "../recent.js";
import { foot, start } from "../shell.js";
import { ago, counted, hoursSince, number, time, utc } from "../time.js";
import { listAddress } from "../view.js";

/** The sessions of the funnel (`is_recording` in dashboard/totals.py). */
const RECORDINGS = /** @type {Partial<import("../view.js").View>} */ ({
  platform: ["ephys", "behavior_with_sync"],
  is: { is_production: ["y", "?", "-"] },
});

start();
try {
  draw(await load("overview.json"));
} catch (error) {
  show(byId("content"), failure(error));
}

/** @param {any} data overview.json */
function draw(data) {
  foot(data);
  show(
    byId("content"),
    warnings(data),
    h(
      "div",
      { class: "stack" },
      h("div", { class: "grid halves" }, totals(data.totals), sources(data.sources), funnel(data.funnel), months()),
      h("div", { class: "grid thirds" }, attention(data.attention), recent(data)),
    ),
  );
  drawMonths(data.months);
  addEventListener("beforeprint", () =>
    byId("content")
      .querySelectorAll("details.item")
      .forEach((/** @type {any} */ one) => (one.open = true)),
  );
  if (data.attention.length) {
    byId("title").after(
      h(
        "a",
        { href: "#attention", class: "no-print" },
        counted(data.attention.length, "item needs", "items need"),
        " attention",
      ),
    );
  }
}

// --- totals and ages ---

/** @param {any} totals */
function totals(totals) {
  /** @type {[string, number, string | null][]} */
  const figures = [
    ["sessions", totals.sessions, "sessions.html"],
    ["subjects", totals.subjects, null],
    ["tracked", totals.tracked, null],
    ["not tracked", totals.untracked, null],
  ];
  return panel(
    { id: "totals", title: "Totals" },
    h(
      "dl",
      { class: "totals" },
      figures.map(([name, count, href]) =>
        h("div", null, h("dt", null, name), h("dd", null, href ? h("a", { href }, number(count)) : number(count))),
      ),
    ),
    h(
      "div",
      { class: "splits" },
      split("By platform", totals.by_platform, (platform) => ({ platform: [platform] })),
      split("By project", totals.by_project, (project) => ({ project: [project] })),
    ),
  );
}

/**
 * @param {string} title
 * @param {Record<string, number>} counts
 * @param {(name: string) => Partial<import("../view.js").View>} view
 */
function split(title, counts, view) {
  const sorted = Object.entries(counts).sort(([, a], [, b]) => b - a);
  return h(
    "div",
    null,
    h("h3", null, title),
    h(
      "table",
      { class: "plain" },
      h(
        "tbody",
        null,
        sorted.map(([name, count]) =>
          h(
            "tr",
            null,
            h("th", { scope: "row" }, h("a", { href: listAddress(view(name)) }, name)),
            h("td", { class: "number" }, number(count)),
          ),
        ),
      ),
    ),
  );
}

/** @param {any} source */
function isLate({ last_complete: last, late_after_hours: most }) {
  return last !== null && hoursSince(last) > most;
}

/** @param {any} data */
function warnings({ sources, shallow, history_begins: begins, totals }) {
  const late = sources.filter(isLate);
  const never = sources.filter((/** @type {any} */ source) => source.last_complete === null);
  const name = (/** @type {any} */ source) => SOURCES[source.name] ?? source.name;
  const lines = [
    ...late.map(
      (/** @type {any} */ source) =>
        `${name(source)} was last read completely ${ago(source.last_complete)}: ` +
        "its data may be stale.",
    ),
    ...(never.length
      ? [`Never read completely: ${never.map(name).join(", ")}. Its facts are unknown and shown as ?.`]
      : []),
  ];
  return [
    lines.length
      ? h(
          "div",
          { class: "notice", role: "note" },
          lines.map((line) => h("p", null, line)),
          h("p", null, prose("Look at the newest runs of the sync workflow, or run `npc-lims sync` yourself.")),
        )
      : null,
    totals.sessions === 0
      ? h(
          "div",
          { class: "notice", role: "note" },
          h("p", null, prose("There are no sessions yet. Run `npc-lims sync` to find them.")),
        )
      : null,
    shallow
      ? h(
          "div",
          { class: "notice", role: "note" },
          h(
            "p",
            null,
            "The site was built from a shallow clone: its history begins ",
            begins ? time(begins, { dayOnly: true }) : "nowhere",
            ".",
          ),
        )
      : null,
  ];
}

/** @param {any[]} sources */
function sources(sources) {
  return panel(
    { id: "sources", title: "Sources" },
    h(
      "table",
      { class: "plain sources" },
      h("caption", { class: "hidden" }, "When each source was last read completely"),
      tableHead(["Source", "Last complete read", "Contents"]),
      h("tbody", null, sources.flatMap(source)),
    ),
  );
}

/** @param {any} source */
function source(source) {
  const { name, last_complete: last, failure, counts } = source;
  const [sign, css, word] =
    last === null ? ["?", "u", "never read"] : isLate(source) ? ["!", "u", "late"] : ["✓", "y", "in time"];
  const contents = Object.entries(counts).map(([what, count]) => `${number(count)} ${what.replaceAll("_", " ")}`);
  return [
    h(
      "tr",
      { class: failure ? "fails" : null },
      h("th", { scope: "row" }, SOURCES[name] ?? name),
      h(
        "td",
        { class: "when" },
        h("span", { class: `mark ${css}`, role: "img", "aria-label": word }, sign),
        " ",
        last ? time(last, { age: true }) : "never",
      ),
      h("td", null, contents.join(", ")),
    ),
    failure
      ? h(
          "tr",
          null,
          h(
            "td",
            { colspan: 3, class: "reason" },
            h("span", { "aria-hidden": "true" }, "✗ "),
            `fails since ${failure.at ? utc(failure.at) : "an unknown time"}: ${failure.reason}`,
          ),
        )
      : null,
  ];
}

// --- pipeline progress ---

/** @param {any[]} steps */
function funnel(steps) {
  const key = chartKey([
    ["yes", "yes"],
    ["", "no"],
    ["unknown", "unknown"],
  ]);
  return panel(
    { id: "funnel", title: "Pipeline progress", beside: key },
    h("ul", { class: "funnel" }, steps.map(step)),
    h(
      "p",
      { class: "quiet more" },
      "Production sessions with ephys or sync, where a step applies. Select a bar to list the sessions that lack it.",
    ),
  );
}

/** @param {any} step */
function step({ flag, label, applies, yes, no, unknown }) {
  const part = (/** @type {string} */ css, /** @type {number} */ count) => {
    const element = h("span", { class: css });
    element.style.width = `${applies ? (100 * count) / applies : 0}%`;
    return element;
  };
  const lacking = unknown ? /** @type {const} */ (["n", "?"]) : /** @type {const} */ (["n"]);
  const counts = `${number(yes)} of ${number(applies)} yes, ${number(no)} no, ${number(unknown)} unknown`;
  return h(
    "li",
    null,
    h(
      "a",
      {
        href: listAddress({ ...RECORDINGS, is: { ...RECORDINGS.is, [flag]: [...lacking] } }),
        title: `${counts}: list those that are not ${label}`,
      },
      h("span", { class: "name" }, label),
      h("span", { class: "bar", "aria-hidden": "true" }, part("yes", yes), part("", no), part("unknown", unknown)),
      h(
        "span",
        { class: "count" },
        `${number(yes)} of ${number(applies)}`,
        h("span", { class: "hidden" }, `, ${number(no)} no, ${number(unknown)} unknown`),
      ),
    ),
  );
}

// --- months ---

function months() {
  const key = chartKey(DEPTHS.map(([, css, label]) => [css, label]));
  return panel(
    { id: "months", title: "Sessions by month", css: "months", beside: key },
    h("div", { id: "chart" }),
    h(
      "details",
      { id: "figures" },
      h("summary", null, "As a table"),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Sessions by month" }),
    ),
  );
}

/** @param {import("../chart.js").Month[]} months */
function drawMonths(months) {
  const place = byId("chart");
  if (!months.length) {
    show(place, h("p", { class: "quiet" }, "No sessions yet."));
    byId("figures").remove();
    return;
  }
  let drawn = 0;
  const redraw = () => {
    const width = Math.round(place.clientWidth);
    if (width && width !== drawn) {
      drawn = width;
      show(place, monthsChart(months, width));
    }
  };
  new ResizeObserver(redraw).observe(place);
  redraw();
  show(byId("figures").querySelector("div"), monthsTable(months));
}
