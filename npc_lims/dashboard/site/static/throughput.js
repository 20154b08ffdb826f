// Throughput: recordings that reached each milestone, by week, for all and for each project or rig.

import { add, h, panel, show, svg } from "./dom.js";
import { number, time } from "./time.js";

/**
 * @typedef {{name: string, counts: Record<string, number[]>, medians: Record<string, string | null>}} Group
 * @typedef {{
 *   weeks: string[], milestones: {flag: string, label: string}[],
 *   total: Group, by_project: Group[], by_rig: Group[],
 * }} Throughput
 */

/** Of a chart, in units of its own: it is stretched to its cell. */
const HEIGHT = 32;
const SLOT = 8;
const GAP = 1.5;

/** @type {["by_project" | "by_rig", string][]} */
const CHOICES = [
  ["by_project", "Project"],
  ["by_rig", "Rig"],
];

/**
 * @param {Throughput} data
 * @param {string | null} begins when the history begins; null without history
 */
export function throughput(data, begins) {
  const place = h("div");
  const put = (/** @type {"by_project" | "by_rig"} */ choice) => {
    const [, name] = CHOICES.find(([key]) => key === choice) ?? CHOICES[0];
    for (const [n, [key]] of CHOICES.entries()) {
      buttons[n].setAttribute("aria-pressed", String(key === choice));
    }
    show(place, charts(data, data[choice], name), weekly(data, data[choice]));
  };
  const buttons = CHOICES.map(([key, name]) => h("button", { type: "button", onclick: () => put(key) }, name));
  put("by_project");
  return panel(
    {
      id: "throughput",
      title: "Throughput",
      css: "throughput long",
      beside: h("div", { class: "segments no-print", role: "group", "aria-label": "Throughput by" }, buttons),
    },
    place,
    h("p", { class: "quiet more" }, note(data, begins)),
  );
}

/**
 * @param {Throughput} data
 * @param {string | null} begins
 */
function note({ weeks, milestones, total }, begins) {
  const text = h(
    "span",
    null,
    `${weeks.length} weeks, of which the last begins ${weeks.at(-1)} (UTC). Production recordings with ephys or sync, by ` +
      `the week in which they reached a milestone; the highest bar is ${number(highest({ milestones, total }))}. ` +
      "Medians: time since the milestone before, or the day of recording. ",
  );
  if (!begins) {
    add(text, ["Annotations have no date here: the site was built without the history of state."]);
  } else if (begins.slice(0, 10) > weeks[0]) {
    add(text, ["Annotations are dated by the history of state, which begins ", time(begins, { dayOnly: true }), "."]);
  }
  return text;
}

/** @param {Pick<Throughput, "milestones" | "total">} data of which no week has more */
function highest({ milestones, total }) {
  return Math.max(...milestones.flatMap(({ flag }) => total.counts[flag]));
}

/**
 * @param {Throughput} data
 * @param {Group[]} groups
 * @param {string} name
 */
function charts({ weeks, milestones, total }, groups, name) {
  const most = Math.max(1, highest({ milestones, total }));
  const scale = h(
    "span",
    { class: "cell" },
    h("span", { class: "weeks" }, h("span", null, weeks[0]), h("span", null, weeks.at(-1))),
    h("span", { class: "number" }, "sum"),
    h("span", { class: "number" }, "median"),
  );
  const row = (/** @type {Group} */ group) =>
    h(
      "tr",
      { class: group === total ? "total" : null },
      h("th", { scope: "row" }, group.name),
      milestones.map(({ flag, label }) => h("td", { "data-label": label }, cell(group, flag, weeks, most))),
    );
  return h(
    "table",
    { class: "plain charts" },
    h("caption", { class: "hidden" }, `Recordings in ${weeks.length} weeks from ${weeks[0]}, by ${name.toLowerCase()}`),
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        h("th", { scope: "col" }, name),
        milestones.map(({ label }) => h("th", { scope: "col" }, label, " per week", scale.cloneNode(true))),
      ),
    ),
    h("tbody", null, (groups.length > 1 ? [total, ...groups] : groups).map(row)),
  );
}

/**
 * @param {Group} group
 * @param {string} flag
 * @param {string[]} weeks
 * @param {number} most
 */
function cell({ counts, medians }, flag, weeks, most) {
  const sum = counts[flag].reduce((a, b) => a + b, 0);
  const median = medians[flag];
  return h(
    "div",
    { class: "cell" },
    svg(
      "svg",
      {
        viewBox: `0 0 ${weeks.length * SLOT} ${HEIGHT}`,
        preserveAspectRatio: "none",
        "aria-hidden": "true",
        focusable: "false",
      },
      svg("rect", { class: "rule", x: 0, y: HEIGHT - 0.5, width: weeks.length * SLOT, height: 0.5 }),
      counts[flag].map((count, n) =>
        count
          ? svg(
              "g",
              null,
              svg("title", null, `week of ${weeks[n]}: ${number(count)}`),
              svg("rect", { class: "reach", x: n * SLOT, y: 0, width: SLOT, height: HEIGHT }),
              svg("rect", {
                class: "sorted",
                x: n * SLOT,
                y: HEIGHT * (1 - count / most),
                width: SLOT - GAP,
                height: (HEIGHT * count) / most,
              }),
            )
          : null,
      ),
    ),
    h("span", { class: "number sum" }, number(sum)),
    h("span", { class: "number" }, median ? [h("span", { class: "hidden" }, "median "), median] : "–"),
  );
}

/**
 * The same figures as a table.
 *
 * @param {Throughput} data
 * @param {Group[]} groups
 */
function weekly({ weeks, milestones, total }, groups) {
  const shown = groups.length > 1 ? [total, ...groups] : groups;
  const columns = shown.flatMap(({ name, counts }) => milestones.map(({ flag, label }) => ({ name, label, counts: counts[flag] })));
  return h(
    "details",
    { class: "figures" },
    h("summary", null, "As a table"),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "Throughput by week" },
      h(
        "table",
        { class: "plain" },
        h("caption", { class: "hidden" }, "Recordings by week, the newest first"),
        h(
          "thead",
          null,
          h("tr", null, h("th", { scope: "col" }, "Week of"), columns.map(({ name, label }) => h("th", { scope: "col", class: "number" }, `${name}, ${label}`))),
        ),
        h(
          "tbody",
          null,
          weeks
            .map((week, n) =>
              h("tr", null, h("th", { scope: "row" }, week), columns.map(({ counts }) => h("td", { class: "number" }, number(counts[n])))),
            )
            .reverse(),
        ),
      ),
    ),
  );
}
