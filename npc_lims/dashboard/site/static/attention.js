// What needs attention: items with their remedies and first cases.

import { copyButton, h, link, panel, prose } from "./dom.js";
import { sessionPage } from "./ids.js";
import { ago, counted, hoursSince, number, time, utc } from "./time.js";

/** Cases of an item that are shown at first. */
const FIRST = 6;
/** Lines of items that are shown at first: the panel and its neighbour fit on one screen. */
const LINES = 22;
/** An item in lines: its title, and with it the remedy of an open one. */
const TITLE = 1.5;
const REMEDY = 1.5;

/** @param {{sources: any[], attention: any[]}} data */
export function attention({ sources, attention }) {
  const items = [...sourcesItem(sources), ...attention];
  let left = LINES - items.length * TITLE;
  const drawn = items.map((one) => {
    const lines = REMEDY + Math.min(one.items.length, FIRST) / (isBrief(one) ? 2 : 1);
    const open = lines <= left;
    left -= open ? lines : 0;
    return item(one, open);
  });
  return panel(
    {
      id: "attention",
      title: "Needs attention",
      css: "long",
      beside: items.length ? h("span", { class: "quiet" }, counted(items.length, "item")) : null,
    },
    drawn.length ? drawn : h("p", { class: "quiet" }, "Nothing at the moment."),
  );
}

/**
 * The sources that are stale when the page is viewed, or failed at the last sync: one item, or none. What is true of
 * several is said once.
 *
 * @param {any[]} sources
 */
export function sourcesItem(sources) {
  const failing = sources.filter(({ failure }) => failure);
  const never = sources.filter(({ failure, last_complete: last }) => !failure && !last);
  const stale = sources.filter(
    ({ failure, last_complete: last, late_after_hours: most }) => !failure && last && hoursSince(last) > most,
  );
  /** @type {Map<string, string[]>} */
  const names = new Map();
  for (const { label, last_complete: last, failure } of [...failing, ...stale, ...never]) {
    const age = last ? `last read ${ago(last)}` : "facts are unknown, and shown as ?";
    const since = failure?.at ? utc(failure.at) : "an unknown time";
    const text = failure ? `${age}; fails since ${since}: ${failure.reason}` : age;
    names.set(text, [...(names.get(text) ?? []), label]);
  }
  const items = [...names].map(([text, some]) => ({ session: null, text: `${some.join(", ")}: ${text}` }));
  const counts = [
    failing.length ? `${counted(failing.length, "source")} could not be read by the last sync` : "",
    never.length ? `${counted(never.length, "source")} never read` : "",
    stale.length ? `${counted(stale.length, "source")} not read for ${stale[0].late_after_hours} hours` : "",
  ];
  const remedy =
    "The last recorded values are kept. See the newest runs of the sync workflow; `npc-lims doctor` checks each " +
    "credential and service.";
  const title = counts.filter(Boolean).join(", ");
  return items.length ? [{ kind: "sources", title, remedy, total: items.length, items }] : [];
}

/** @param {any} item one whose cases are ids and dates alone */
function isBrief({ items }) {
  return items.every((/** @type {any} */ one) => one.session && !one.text);
}

/**
 * @param {any} item
 * @param {boolean} open
 */
function item(item, open) {
  const { kind, title, remedy, total, items: cases } = item;
  return h(
    "details",
    { class: "item", "data-kind": kind, open },
    h("summary", null, h("h3", null, title)),
    h("p", { class: "remedy" }, prose(remedy)),
    folding(h("ul", { class: isBrief(item) ? "cases brief" : "cases" }), cases, oneCase, (shown) =>
      total > cases.length && shown === cases.length
        ? `${number(total - cases.length)} more are not listed here.`
        : null,
    ),
  );
}

/** @param {any} one */
function oneCase({ session, text, since, link: address, command }) {
  const linked = address ? link(address, text) : text;
  return h(
    "li",
    { class: session ? null : "loose" },
    session ? h("a", { href: sessionPage(session), class: "session" }, session) : null,
    text ? h("span", { class: "text" }, linked) : null,
    since ? h("span", { class: "quiet" }, "since ", time(since, { dayOnly: true })) : null,
    command ? h("span", { class: "command" }, h("code", null, command), copyButton(command, "the command")) : null,
  );
}

/**
 * A list of which the first few are shown, with a button for the others.
 *
 * @param {HTMLElement} list
 * @param {any[]} items
 * @param {(item: any) => HTMLElement} draw
 * @param {(shown: number) => string | null} [afterwards] what to say below it
 */
function folding(list, items, draw, afterwards = () => null) {
  const foot = h("p", { class: "quiet more" });
  const put = (/** @type {number} */ from, /** @type {number} */ to) => {
    const added = items.slice(from, to).map(draw);
    list.append(...added);
    foot.textContent = afterwards(Math.min(to, items.length)) ?? "";
    return added;
  };
  put(0, FIRST);
  const rest = items.length - FIRST;
  const more =
    rest > 0
      ? h(
          "button",
          {
            type: "button",
            class: "plain more no-print",
            onclick: () => {
              const [first] = put(FIRST, items.length);
              more.remove();
              // the button is gone: the keyboard goes on with what it brought
              (first.querySelector("a") ?? first).focus();
            },
          },
          `Show ${counted(rest, "more", "more")}`,
        )
      : null;
  return [list, more, foot];
}
