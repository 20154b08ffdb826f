// Recent changes, by day.

import { h, link, panel, show } from "./dom.js";
import { sessionPage } from "./ids.js";
import { number, time } from "./time.js";

/** Events that are shown at first. */
const FIRST = 10;

/** @param {any} data */
export function recent({ recent }) {
  const list = h("ol", { class: "days" });
  const put = (/** @type {any[]} */ events) =>
    show(
      list,
      byDay(events).map(([day, some]) => oneDay(day, some)),
    );
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
    { id: "recent", title: "Recent changes", css: "long", beside: h("a", { href: "feed.atom" }, "Atom feed") },
    recent.length
      ? [list, recent.length > FIRST ? more : null]
      : h("p", { class: "quiet" }, "None are recorded: they are read from the commits of the state folder."),
  );
}

/**
 * @param {any[]} events
 * @returns {[string, any[]][]}
 */
function byDay(events) {
  /** @type {Map<string, any[]>} */
  const days = new Map();
  for (const event of events) {
    const day = event.when.slice(0, 10);
    days.set(day, [...(days.get(day) ?? []), event]);
  }
  return [...days];
}

/**
 * @param {string} day
 * @param {any[]} events
 */
function oneDay(day, events) {
  return h("li", null, h("h3", null, time(day, { dayOnly: true })), h("ul", { class: "events" }, events.map(event)));
}

/** @param {any} event */
function event({ session, what, details, commit, commit_url: address, editors }) {
  return h(
    "li",
    null,
    h("a", { href: sessionPage(session), "data-event": true }, session),
    " ",
    what.join(", "),
    details.map((/** @type {string} */ detail) => h("span", { class: "detail" }, detail)),
    h(
      "span",
      { class: "detail" },
      editors.map((/** @type {any} */ editor) => ["edited by ", link(editor.url, editor.name), " · "]).flat(),
      "commit ",
      link(address, h("span", { class: "code" }, commit.slice(0, 10))),
    ),
  );
}
