// The list of all sessions: filters, order and columns of a view, which is also its address.

import { boxes, Choice, statusBoxes } from "../choices.js";
import { columnsOf, usual, withKind } from "../columns.js";
import { csv, save } from "../csv.js";
import { failure, load } from "../data.js";
import { byId, h, show } from "../dom.js";
import { countFacet, countStatuses, shown } from "../filters.js";
import { FACETS, listing } from "../listing.js";
import { legend, VALUES } from "../marks.js";
import { feedLink, foot, isShortcut, start } from "../shell.js";
import { sorter } from "../sorting.js";
import { Table } from "../table.js";
import { counted, number } from "../time.js";
import { everything, isFiltered, listAddress, readEvent, readView, writeView } from "../view.js";

/** @typedef {import("../view.js").View} View */

/** @type {[string, Partial<View>][]} views that are often wanted; shown where the state has their flags */
const PRESETS = [
  ["Ephys, not uploaded", { platform: ["ephys"], is: { is_uploaded: ["n"] } }],
  ["Uploaded, not sorted", { is: { is_uploaded: ["y"], is_sorted: ["n"] } }],
  ["Sorted, not annotated", { is: { is_sorted: ["y"], is_annotated: ["n"] } }],
  ["Sorted, no NWB", { is: { is_sorted: ["y"], is_nwb_cached: ["n"] } }],
];
/** Milliseconds after the last key until the address says what was typed: browsers allow few changes of it. */
const SETTLED = 250;

start();
try {
  const data = await load("sessions.json");
  foot(data);
  run(listing(data));
} catch (error) {
  show(byId("content"), failure(error));
}

/** @param {import("../listing.js").Listing} list */
function run(list) {
  const columns = columnsOf(list);
  const narrow = matchMedia("(max-width: 40rem)");
  const medium = matchMedia("(max-width: 60rem)");
  const names = columns.map(({ name }) => name);
  const order = sorter(list);
  /** @type {View} */
  let view = everything();
  /** @type {number[]} */
  let sessions = [];
  let waiting = 0;

  // --- parts of the page ---

  const words = field(
    "words",
    "Search",
    { type: "search", placeholder: "Id, project, rig, folder, asset, notes", onkeydown: leaveSearch },
    (value) => (view.q = value),
  );
  const subject = field(
    "subject",
    "Subject",
    { type: "text", inputmode: "numeric", placeholder: "626791, …" },
    (value) => (view.subject = value),
  );
  const from = field("day", "From", { type: "date" }, (value) => (view.from = value));
  const to = field("day", "To", { type: "date" }, (value) => (view.to = value));
  const facets = FACETS.map((facet) => new Choice(capital(facet), () => facetBoxes(facet)));
  const status = new Choice("Status", () => {
    const counts = countStatuses(list, view, order(view.sort));
    return statusBoxes(list.flags, list.labels, counts, view.is, (flag, values) => {
      const { [flag]: before, ...others } = view.is;
      choose({ is: values.length ? { ...others, [flag]: values } : others });
    });
  });
  const columnChoice = new Choice("Columns", columnBoxes);
  const count = h("p", { class: "count" });
  const feed = h("span", null);
  const spoken = h("p", { class: "hidden", role: "status" });
  const chips = h("div", { class: "chips" });
  const clear = h(
    "button",
    {
      type: "button",
      class: "plain",
      onclick: () => choose({ ...everything(), sort: view.sort, columns: view.columns }),
    },
    "Clear all",
  );
  const presets = h("ul", { class: "presets", "aria-label": "Often wanted" }, usefulPresets().map(preset));
  const problem = h("div", { role: "alert" });
  const empty = h("div", { class: "empty panel" });
  const region = h("div", { class: "region", tabindex: "0", role: "region", "aria-label": "Table of sessions" });
  const download = h("button", { type: "button", onclick: () => save(csv(rows()), "sessions.csv") }, "CSV");
  const table = new Table(region, { caption: "Sessions", onSort: sortBy });
  const more = h(
    "button",
    {
      type: "button",
      class: "more",
      "aria-expanded": "false",
      onclick: () => more.setAttribute("aria-expanded", filters.classList.toggle("open")),
    },
    "Filters",
  );
  const filters = h(
    "div",
    { class: "filters", role: "search" },
    words.element,
    more,
    subject.element,
    from.element,
    to.element,
    facets.map(({ element }) => element),
    status.element,
    columnChoice.element,
    download,
  );
  show(
    byId("content"),
    problem,
    filters,
    h("div", { class: "shown" }, count, spoken, chips, clear, feed, presets, legend()),
    empty,
    region,
  );

  // --- what the visitor does ---

  /**
   * @param {string} css
   * @param {string} label
   * @param {Record<string, any>} properties
   * @param {(value: string) => void} onInput
   */
  function field(css, label, properties, onInput) {
    const id = `filter-${label.toLowerCase()}`;
    const typed = () => {
      onInput(input.value);
      apply();
      clearTimeout(waiting);
      waiting = setTimeout(settle, SETTLED);
    };
    const input = h("input", { id, ...properties, autocomplete: "off", spellcheck: "false", oninput: typed });
    return { input, element: h("div", { class: `field ${css}` }, h("label", { for: id }, label), input) };
  }

  /** @param {KeyboardEvent} event from the search field the keyboard goes on to the rows */
  function leaveSearch(event) {
    if ((event.key === "ArrowDown" || event.key === "Enter") && sessions.length) {
      event.preventDefault();
      table.goTo(0);
    }
  }

  /** While typing there is one entry in the browser's history, not one for each key. */
  function settle() {
    waiting = 0;
    history.replaceState(null, "", address());
  }

  /** @param {Partial<View>} some what is chosen, by a click: the way back leads to the view before */
  function choose(some) {
    if (waiting) {
      clearTimeout(waiting);
      settle();
    }
    view = { ...view, ...some };
    if (address() !== location.pathname + location.search) {
      history.pushState(null, "", address());
    }
    fillFields();
    apply();
  }

  function address() {
    return location.pathname + writeView(view);
  }

  /** @param {string} column */
  function sortBy(column) {
    const first = column === "date" ? "-date" : column;
    const second = column === "date" ? "date" : `-${column}`;
    choose({ sort: view.sort === first ? second : first });
    region.querySelector(`[data-column="${column}"]`)?.focus();
  }

  // --- the sheets ---

  /** @param {import("../listing.js").Facet} facet */
  function facetBoxes(facet) {
    const counts = countFacet(list, view, facet, order(view.sort));
    const values = list[facet].values
      .map((value, n) => ({ value, label: value, count: counts[n] }))
      .sort((a, b) => a.value.localeCompare(b.value, "en", { numeric: true }));
    return boxes(capital(facet), values, view[facet], (chosen) => choose({ [facet]: chosen }));
  }

  function columnBoxes() {
    const chosen = shownColumns().map(({ name }) => name);
    const values = columns
      .filter(({ name }) => name !== "id")
      .map(({ name, label, about }) => ({ value: name, label: about ?? label, count: null }));
    const toggle = (/** @type {string[]} */ some) =>
      choose({ columns: same(some, usualNames()) ? null : names.filter((name) => some.includes(name)) });
    const reset = h(
      "button",
      { type: "button", class: "plain", "data-key": "usual", onclick: () => choose({ columns: null }) },
      "The usual columns",
    );
    return h("div", null, boxes("Columns", values, chosen, toggle, "columns"), reset);
  }

  function usualNames() {
    const width = narrow.matches ? "narrow" : medium.matches ? "medium" : "wide";
    return usual(columns, width).map(({ name }) => name);
  }

  function shownColumns() {
    const wanted = view.columns ?? usualNames();
    const some = columns.filter(({ name }) => name === "id" || wanted.includes(name));
    return isPhone() ? withKind(list, some) : some;
  }

  function isPhone() {
    return !view.columns && narrow.matches;
  }

  // --- drawing ---

  let drawnColumns = "";

  /** Shows the view as it is now. */
  function apply() {
    sessions = shown(list, view, order(view.sort));
    const now = `${isPhone()} ${view.sort} ${shownColumns().map(({ name }) => name)}`;
    if (now !== drawnColumns) {
      drawnColumns = now;
      table.setColumns(shownColumns(), view.sort);
    }
    table.show(sessions);
    tellCount();
    drawChips();
    region.hidden = sessions.length === 0;
    empty.hidden = sessions.length > 0;
    if (!sessions.length) {
      show(
        empty,
        h(
          "p",
          null,
          list.count
            ? "No session matches. Take one of the filters away, or clear them all."
            : "There are no sessions yet.",
        ),
      );
    }
    download.disabled = sessions.length === 0;
    for (const [n, facet] of FACETS.entries()) {
      facets[n].mark(view[facet].length);
      facets[n].update();
    }
    status.mark(Object.keys(view.is).length);
    status.update();
    columnChoice.update();
  }

  let speaking = 0;

  function tellCount() {
    count.textContent =
      sessions.length === list.count
        ? counted(list.count, "session")
        : `${number(sessions.length)} of ${counted(list.count, "session")}`;
    clearTimeout(speaking);
    // said once typing pauses, not at every key
    speaking = setTimeout(() => (spoken.textContent = `${counted(sessions.length, "session")} shown`), 600);
  }

  function drawChips() {
    const event = readEvent(view.event);
    const made = [
      ...(event ? [chip(`${event.name} in the last ${counted(event.days, "day")}`, { event: "" })] : []),
      ...FACETS.flatMap((facet) =>
        view[facet].map((value) =>
          chip(`${capital(facet)}: ${value}`, { [facet]: view[facet].filter((one) => one !== value) }),
        ),
      ),
      ...Object.entries(view.is).map(([flag, values]) => {
        const { [flag]: gone, ...others } = view.is;
        return chip(`${list.labels[flag]}: ${values.map((value) => VALUES[value].word).join(" or ")}`, { is: others });
      }),
    ];
    show(chips, ...made);
    const [project, ...others] = view.project;
    const path = !others.length && Object.hasOwn(list.feeds, project) ? list.feeds[project] : null;
    show(feed, feedLink(path, `Changes of project ${project}`));
    feed.hidden = !path;
    const fields = [view.subject, view.from, view.to].filter(Boolean).length;
    more.textContent = made.length + fields ? `Filters (${made.length + fields})` : "Filters";
    chips.hidden = made.length === 0;
    clear.hidden = !isFiltered(view);
    presets.hidden = isFiltered(view) || !list.count;
  }

  /**
   * @param {string} text
   * @param {Partial<View>} without
   */
  function chip(text, without) {
    const remove = () => {
      choose(without);
      (chips.querySelector("button") ?? words.input).focus();
    };
    return h(
      "button",
      { type: "button", title: "Take this filter away", onclick: remove },
      text,
      h("span", { class: "hidden" }, ", take away"),
    );
  }

  function usefulPresets() {
    return PRESETS.filter(
      ([, { is = {}, platform = [] }]) =>
        Object.keys(is).every((flag) => list.flags.includes(flag)) &&
        platform.every((one) => list.platform.values.includes(one)),
    );
  }

  /** @param {[string, Partial<View>]} preset */
  function preset([label, some]) {
    const go = (/** @type {MouseEvent} */ event) => {
      // with a key held down the browser opens a tab or a window, as with any link
      if (!event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey) {
        event.preventDefault();
        choose({ ...everything(), sort: view.sort, columns: view.columns, ...some });
        words.input.focus();
      }
    };
    return h("li", null, h("a", { href: listAddress(some), onclick: go }, label));
  }

  /** The table as it is shown, all rows; on a phone, which shows little of it, with the columns of a wide window. */
  function rows() {
    const visible = isPhone() ? usual(columns, "wide") : shownColumns();
    return [visible.map(({ name }) => name), ...sessions.map((i) => visible.map(({ text }) => text(i)))];
  }

  function fillFields() {
    for (const [{ input }, value] of /** @type {const} */ ([
      [words, view.q],
      [subject, view.subject],
      [from, view.from],
      [to, view.to],
    ])) {
      if (input.value !== value) {
        input.value = value;
      }
    }
  }

  /** Takes the view from the address: at first, and when the visitor goes back or forward. */
  function follow() {
    const read = readView(location.search, list.flags, names, list);
    view = read.view;
    show(
      problem,
      read.problems.length
        ? h(
            "div",
            { class: "notice" },
            h(
              "p",
              null,
              "This page does not know a part of its address, and shows the sessions without it: ",
              h("code", null, read.problems.join(" ")),
            ),
          )
        : null,
    );
    fillFields();
    apply();
  }

  addEventListener("popstate", follow);
  addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 }[event.key];
    const isElsewhere = event.defaultPrevented || /** @type {Element} */ (event.target).closest("details, dialog");
    // where the page scrolls, as on a phone or in a window seen four times as large, arrows scroll it
    const { scrollHeight, clientHeight } = document.documentElement;
    const isFree = event.key.length === 1 || scrollHeight <= clientHeight;
    if (step && sessions.length && !isElsewhere && isFree && isShortcut(event)) {
      event.preventDefault();
      table.move(step);
    }
  });
  for (const width of [narrow, medium]) {
    width.addEventListener("change", apply);
  }
  follow();
}

/** @param {string} word */
function capital(word) {
  return word[0].toUpperCase() + word.slice(1);
}

/**
 * @param {string[]} a
 * @param {string[]} b
 */
function same(a, b) {
  return new Set([...a, "id"]).size === new Set([...b, "id"]).size && b.every((one) => one === "id" || a.includes(one));
}
