// What needs attention: each matter with its remedy and its first cases.

import { h, link, prose } from "./dom.js";
import { sessionPage } from "./ids.js";
import { counted, number, time } from "./time.js";

/** Cases of a matter that are shown at first. */
const FIRST = 10;
/** Matters that are unfolded at first. */
const OPEN = 3;

/** @param {any[]} matters */
export function attention(matters) {
  return h(
    "section",
    { class: "panel long", "aria-labelledby": "attention" },
    h("h2", { id: "attention" }, "Needs attention"),
    matters.length
      ? matters.map((one, n) => matter(one, n < OPEN))
      : h("p", { class: "quiet" }, "Nothing at the moment."),
  );
}

/**
 * @param {any} matter
 * @param {boolean} open
 */
function matter({ kind, title, remedy, total, items }, open) {
  return h(
    "details",
    { class: "matter", "data-kind": kind, open },
    h("summary", null, h("h3", null, title)),
    h("p", { class: "remedy" }, prose(remedy)),
    folding(h("ul", { class: "items" }), items, item, (shown) =>
      total > items.length && shown === items.length
        ? `${number(total - items.length)} more are not listed here.`
        : null,
    ),
  );
}

/** @param {any} item */
function item({ session, text, since, link: address }) {
  const told = address ? link(address, text) : text;
  return h(
    "li",
    { class: session ? null : "loose" },
    session ? h("a", { href: sessionPage(session), class: "session" }, session) : null,
    h("span", { class: "text" }, told),
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
