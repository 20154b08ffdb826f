// The overview: today, what needs attention, recent changes; throughput, pipeline progress, months, sources.

import { attention, sourcesItem } from "../attention.js";
import { EPHYS, TRAINING, monthsChart, monthsTable } from "../chart.js";
import { failure, load } from "../data.js";
import { byId, chartKey, h, panel, prose, show, tableHead } from "../dom.js";
import { recent } from "../recent.js";
import { foot, start } from "../shell.js";
import { throughput } from "../throughput.js";
import { counted, hoursSince, number, time } from "../time.js";
import { listAddress } from "../view.js";

/** The sessions of the funnel (`is_recording` in model/status.py). */
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
  const hasSessions = data.totals.sessions > 0;
  show(
    byId("content"),
    hasSessions
      ? null
      : h(
          "div",
          { class: "notice", role: "note" },
          h("p", null, prose("There are no sessions yet. Run `npc-lims sync` to find them.")),
        ),
    h(
      "div",
      { class: "stack" },
      strip(data),
      h("div", { class: "grid thirds" }, attention(data), recent(data)),
      hasSessions ? throughput(data.throughput, data.history_begins) : null,
      hasSessions ? h("div", { class: "grid halves" }, funnel(data.funnel), months()) : null,
      h("div", { class: "grid halves" }, hasSessions ? splits(data.totals) : null, sources(data.sources)),
    ),
  );
  if (hasSessions) {
    drawMonths(data.months);
  }
  if (!sourcesItem(data.sources).length) {
    const [oldest] = data.sources.map((/** @type {any} */ source) => source.last_complete).sort();
    byId("title").after(h("p", { class: "quiet" }, "All sources read ", time(oldest, { age: true })));
  }
  addEventListener("beforeprint", () =>
    byId("content")
      .querySelectorAll("details")
      .forEach((/** @type {any} */ one) => (one.open = true)),
  );
}

// --- today, and totals ---

/** @param {any} data */
function strip({ events, totals, history_begins: begins, shallow }) {
  const week = 7 * 24;
  const happened = Object.entries(/** @type {Record<string, [string, number][]>} */ (events)).map(([name, times]) => {
    const within = (/** @type {number} */ days) =>
      times.filter(([when]) => hoursSince(when) <= 24 * days).reduce((sum, [, count]) => sum + count, 0);
    const counts = [eventLink(name, 1, within(1)), h("span", null, eventLink(name, 7, within(7)), " in 7 days")];
    return h("div", { class: name }, h("dt", null, name), h("dd", null, begins ? counts : "–"));
  });
  /** @type {[string, number, string | null][]} */
  const figures = [
    ["sessions", totals.sessions, "sessions.html"],
    ["tracked", totals.tracked, null],
    ["not tracked", totals.untracked, null],
    ["subjects", totals.subjects, null],
  ];
  const isShort = begins && hoursSince(begins) < week;
  return h(
    "div",
    { class: "panel strip" },
    h(
      "section",
      { "aria-labelledby": "today" },
      h("h2", { id: "today" }, "Today", h("span", { class: "hidden" }, ": in the last 24 hours")),
      h("dl", { class: "figures" }, happened),
      begins && !isShort
        ? null
        : h(
            "p",
            { class: "quiet" },
            begins ? ["History begins ", time(begins, { dayOnly: true })] : "The site was built without history",
            shallow ? ": it was built from a shallow clone." : ".",
          ),
    ),
    h(
      "section",
      { "aria-labelledby": "totals" },
      h("h2", { id: "totals" }, "All"),
      h(
        "dl",
        { class: "figures" },
        figures.map(([name, count, href]) =>
          h("div", null, h("dt", null, name), h("dd", null, href ? h("a", { href }, number(count)) : number(count))),
        ),
      ),
    ),
  );
}

/**
 * @param {string} name
 * @param {number} days
 * @param {number} count
 */
function eventLink(name, days, count) {
  const period = days === 1 ? "in the last day" : `in the last ${days} days`;
  return count
    ? h(
        "a",
        { href: listAddress({ event: `${name}:${days}d` }), title: `${counted(count, "session")} ${name} ${period}` },
        number(count),
      )
    : "0";
}

/** @param {any} totals */
function splits(totals) {
  return panel(
    { id: "splits", title: "Sessions" },
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

/** @param {any[]} sources */
function sources(sources) {
  return panel(
    { id: "sources", title: "Sources" },
    h(
      "table",
      { class: "plain sources" },
      h("caption", { class: "hidden" }, "When each source was last read completely"),
      tableHead(["Source", "Last complete read", "Contents"]),
      h("tbody", null, sources.map(source)),
    ),
  );
}

/** @param {any} source */
function source(source) {
  const { label, last_complete: last, counts } = source;
  const contents = Object.entries(counts).map(([what, count]) => `${number(count)} ${what.replaceAll("_", " ")}`);
  return h(
    "tr",
    null,
    h("th", { scope: "row" }, label),
    h("td", { class: "when" }, last ? time(last, { age: true }) : "never"),
    h("td", null, contents.join(", ")),
  );
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
  return panel(
    { id: "months", title: "Sessions by month", css: "months long" },
    [EPHYS, TRAINING].map(({ name, depths }) => [
      h("div", { class: "row" }, h("h3", null, name), chartKey(depths.map(([, css, label]) => [css, label]))),
      h("div", { class: "chart", id: `chart-${name.toLowerCase()}` }),
    ]).flat(),
    h(
      "details",
      { class: "figures" },
      h("summary", null, "As a table"),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table of sessions by month" }),
    ),
  );
}

/** @param {import("../chart.js").Month[]} months */
function drawMonths(months) {
  for (const chart of [EPHYS, TRAINING]) {
    const place = byId(`chart-${chart.name.toLowerCase()}`);
    let drawn = 0;
    const redraw = () => {
      const width = Math.round(place.clientWidth);
      if (width && width !== drawn) {
        drawn = width;
        show(place, monthsChart(chart, months, width));
      }
    };
    new ResizeObserver(redraw).observe(place);
    redraw();
  }
  show(byId("months").closest("section").querySelector(".scroll"), monthsTable(months));
}
