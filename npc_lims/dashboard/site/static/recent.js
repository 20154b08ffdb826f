// Recent changes: those of the last day first, by the commit that recorded them.

import { h, link, panel, prose, show } from "./dom.js";
import { sessionPage } from "./ids.js";
import { hoursSince, number, time } from "./time.js";

/** Events that are shown at first. */
const FIRST = 8;
/** Events that the data has at most (`RECENT` in dashboard/site/build.py). */
const MOST = 100;
const CUT = `These are the newest ${MOST}; \`npc-lims history --since 1d\` lists all.`;

/** @param {any} data */
export function recent({ recent }) {
  const list = h("div");
  const put = (/** @type {any[]} */ events) => {
    const isNew = (/** @type {any} */ event) => hoursSince(event.when) <= 24;
    show(
      list,
      part("Since yesterday", events.filter(isNew), "No changes."),
      part("Earlier", events.filter((event) => !isNew(event))),
    );
  };
  put(recent.slice(0, FIRST));
  const more = h(
    "button",
    {
      type: "button",
      class: "plain more no-print",
      onclick: () => {
        put(recent);
        more.remove();
        list.querySelectorAll("a[data-event]")[FIRST].focus();
      },
    },
    `Show ${number(recent.length - FIRST)} more`,
  );
  return panel(
    { id: "recent", title: "Changes", css: "long", beside: h("a", { href: "feed.atom" }, "Atom feed") },
    recent.length
      ? [list, recent.length > FIRST ? more : null, isCut(recent) ? h("p", { class: "quiet more" }, prose(CUT)) : null]
      : h("p", { class: "quiet" }, "None are recorded: they are read from the commits of the state folder."),
  );
}

/** @param {any[]} events whether there may be older ones of the last day */
function isCut(events) {
  return events.length === MOST && hoursSince(events[MOST - 1].when) <= 24;
}

/**
 * @param {string} title
 * @param {any[]} events
 * @param {string} [none] what to say where there are none
 */
function part(title, events, none) {
  /** @type {Map<string, any[]>} */
  const commits = new Map();
  for (const event of events) {
    commits.set(event.commit, [...(commits.get(event.commit) ?? []), event]);
  }
  return events.length || none
    ? [
        h("h3", null, title),
        events.length ? null : h("p", { class: "quiet" }, none ?? ""),
        [...commits.values()].map(oneCommit).flat(),
      ].flat()
    : [];
}

/** @param {any[]} events of one commit */
function oneCommit(events) {
  const [{ when, commit, commit_url: address }] = events;
  return [
    h("p", { class: "commit" }, time(when), " · ", link(address, h("span", { class: "code" }, commit.slice(0, 10)))),
    h("ul", { class: "events" }, events.map(event)),
  ];
}

/** @param {any} event */
function event({ session, what, details, editors }) {
  return h(
    "li",
    null,
    h("a", { href: sessionPage(session), class: "session", "data-event": true }, session),
    h(
      "span",
      null,
      // who edited says that it was edited
      what.filter((/** @type {string} */ word) => word !== "edited" || !editors.length).join(", "),
      editors
        .map((/** @type {any} */ editor, /** @type {number} */ n) => [
          n ? ", " : what.length > 1 || what[0] !== "edited" ? ", edited by " : "edited by ",
          link(editor.url, editor.name),
        ])
        .flat(),
      details.map((/** @type {string} */ detail) => h("span", { class: "detail" }, detail)),
    ),
  );
}
