// What needs attention: items with their remedies and first cases.

import { h, link, panel, prose } from "./dom.js";
import { sessionPage } from "./ids.js";
import { counted, number, time } from "./time.js";

/** Cases of an item that are shown at first. */
const FIRST = 10;
/** Items that are open at first. */
const OPEN = 3;

/** @param {any[]} items */
export function attention(items) {
  return panel(
    { id: "attention", title: "Needs attention", css: "long" },
    items.length
      ? items.map((one, n) => item(one, n < OPEN))
      : h("p", { class: "quiet" }, "Nothing at the moment."),
  );
}

/**
 * @param {any} item
 * @param {boolean} open
 */
function item({ kind, title, remedy, total, items: cases }, open) {
  return h(
    "details",
    { class: "item", "data-kind": kind, open },
    h("summary", null, h("h3", null, title)),
    h("p", { class: "remedy" }, prose(remedy)),
    folding(h("ul", { class: "cases" }), cases, oneCase, (shown) =>
      total > cases.length && shown === cases.length
        ? `${number(total - cases.length)} more are not listed here.`
        : null,
    ),
  );
}

/** @param {any} one */
function oneCase({ session, text, since, link: address }) {
  const linked = address ? link(address, text) : text;
  return h(
    "li",
    { class: session ? null : "loose" },
    session ? h("a", { href: sessionPage(session), class: "session" }, session) : null,
    h("span", { class: "text" }, linked),
    since ? h("span", { class: "quiet" }, "since ", time(since, { dayOnly: true })) : h("span"),
  );
}

/**
 * A list of which the first ten are shown, with a button for the others.
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
