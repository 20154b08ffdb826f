// A table of many rows that holds only those in sight. A real <table>: what is not in it is told by aria-rowcount and
// aria-rowindex.

import { h } from "./dom.js";

/** @typedef {import("./columns.js").Column} Column */

/** Rows above and below what is seen, so that a quick scroll meets no gap. */
const SPARE = 8;

/** The sessions of a view, in a region that scrolls both ways. One tab stop: arrows go from row to row. */
export class Table {
  /**
   * @param {HTMLElement} region scrolls
   * @param {{caption: string, onSort: (column: string) => void}} options
   */
  constructor(region, { caption, onSort }) {
    this.region = region;
    this.onSort = onSort;
    /** @type {Column[]} */
    this.columns = [];
    /** @type {number[]} */
    this.sessions = [];
    /** @type {Map<number, HTMLTableRowElement>} rows in the document, by position */
    this.rows = new Map();
    this.current = 0;
    this.isPrinting = false;
    this.rowHeight = 0;
    this.colgroup = h("colgroup");
    this.head = h("thead");
    this.above = h("td");
    this.below = h("td");
    this.body = h("tbody", { class: "rows" });
    this.table = h(
      "table",
      { class: "list" },
      h("caption", { class: "hidden" }, caption),
      this.colgroup,
      this.head,
      h("tbody", { class: "space", "aria-hidden": "true" }, h("tr", null, this.above)),
      this.body,
      h("tbody", { class: "space", "aria-hidden": "true" }, h("tr", null, this.below)),
    );
    region.replaceChildren(this.table);
    let isWaiting = false;
    const draw = () => {
      isWaiting = false;
      this.draw();
    };
    const soon = () => {
      if (!isWaiting) {
        isWaiting = true;
        requestAnimationFrame(draw);
      }
    };
    region.addEventListener("scroll", soon, { passive: true });
    new ResizeObserver(() => {
      this.rowHeight = 0;
      soon();
    }).observe(region);
    region.addEventListener("keydown", (event) => this.key(event));
    addEventListener("beforeprint", () => this.print(true));
    addEventListener("afterprint", () => this.print(false));
  }

  /**
   * @param {Column[]} columns
   * @param {string} sort
   */
  setColumns(columns, sort) {
    this.columns = columns;
    this.colgroup.replaceChildren(
      ...columns.map(({ name, width }) => {
        const col = h("col");
        if (name !== "notes") {
          col.style.width = `${width}rem`;
        }
        return col;
      }),
    );
    this.table.style.minWidth = `${columns.reduce((sum, { width }) => sum + width, 0)}rem`;
    this.head.replaceChildren(
      ...groupRow(columns),
      h(
        "tr",
        { "aria-rowindex": 1 },
        columns.map((column) => this.heading(column, sort)),
      ),
    );
    // rows of other columns may have another height
    this.rowHeight = 0;
    this.above.colSpan = this.below.colSpan = columns.length;
    this.forget();
  }

  /**
   * @param {Column} column
   * @param {string} sort
   */
  heading({ name, label, css, about = label, group, sorts = [[name, label]] }, sort) {
    const by = sort.replace(/^-/, "");
    const isSorted = sorts.some(([one]) => one === by);
    const descends = sort.startsWith("-");
    return h(
      "th",
      { scope: "col", class: css, "aria-sort": isSorted ? (descends ? "descending" : "ascending") : null },
      h(
        "div",
        { class: "sorts" },
        sorts.map(([column, text]) =>
          h(
            "button",
            {
              type: "button",
              "data-column": column,
              title: `Sort by ${sorts.length > 1 ? column : about}${group ? ` (${group})` : ""}`,
              "aria-label": about === label ? null : `${label}, ${about}`,
              onclick: () => this.onSort(column),
            },
            h("span", { class: "name" }, text),
            h("span", { class: "arrow", "aria-hidden": "true" }, column === by ? (descends ? "↓" : "↑") : ""),
          ),
        ),
      ),
    );
  }

  /**
   * Shows these sessions, from the top.
   *
   * @param {number[]} sessions
   */
  show(sessions) {
    for (const [at, row] of this.rows) {
      // the next letter of a word often changes nothing of what is in sight
      if (this.sessions[at] !== sessions[at]) {
        row.remove();
        this.rows.delete(at);
      }
    }
    this.sessions = sessions;
    this.current = 0;
    this.table.setAttribute("aria-rowcount", sessions.length + 1);
    if (this.region.scrollTop) {
      this.region.scrollTop = 0;
    }
    this.draw();
  }

  forget() {
    this.rows.clear();
    this.body.replaceChildren();
  }

  /** Puts the rows in sight into the table, and takes out the others. */
  draw() {
    const count = this.sessions.length;
    if (!this.rowHeight) {
      this.measure();
    }
    const height = this.rowHeight;
    const top = Math.floor(Math.max(0, this.region.scrollTop) / height);
    const first = this.isPrinting ? 0 : Math.max(0, Math.min(top - SPARE, count - 1));
    const end = this.isPrinting ? count : Math.min(count, top + Math.ceil(this.region.clientHeight / height) + SPARE);
    const focused = document.activeElement?.closest("tr");
    for (const [at, row] of this.rows) {
      if (at < first || at >= end) {
        if (row === focused) {
          // its row leaves the table: the keyboard stays in it
          this.region.focus({ preventScroll: true });
        }
        row.remove();
        this.rows.delete(at);
      }
    }
    let next = this.body.firstElementChild;
    for (let at = first; at < end; at++) {
      const present = this.rows.get(at);
      if (present) {
        next = present.nextElementSibling;
      } else {
        const row = this.row(at);
        this.rows.set(at, row);
        this.body.insertBefore(row, next);
      }
    }
    this.above.style.height = this.isPrinting ? "0" : `${first * height}px`;
    this.below.style.height = this.isPrinting ? "0" : `${Math.max(0, count - end) * height}px`;
    this.markCurrent();
  }

  /** @param {number} at */
  row(at) {
    const session = this.sessions[at];
    const row = document.createElement("tr");
    row.setAttribute("aria-rowindex", String(at + 2));
    for (const column of this.columns) {
      const isHead = column.name === "id";
      const cell = /** @type {HTMLTableCellElement} */ (document.createElement(isHead ? "th" : "td"));
      if (isHead) {
        cell.scope = "row";
      }
      if (column.css) {
        cell.className = column.css;
      }
      column.fill(cell, session);
      row.append(cell);
    }
    return row;
  }

  measure() {
    if (!this.rows.size && this.sessions.length) {
      const probe = this.row(0);
      this.body.append(probe);
      this.rowHeight = probe.getBoundingClientRect().height;
      probe.remove();
    } else {
      this.rowHeight = this.body.firstElementChild?.getBoundingClientRect().height ?? 0;
    }
    // a page that is not drawn (a background tab) has no heights yet
    this.rowHeight ||= 26;
  }

  /** The link of the current row is the tab stop. */
  markCurrent() {
    for (const stop of this.body.querySelectorAll('th a[tabindex="0"]')) {
      stop.tabIndex = -1;
    }
    const link = this.linkAt(this.current) ?? this.body.querySelector("th a");
    if (link) {
      link.tabIndex = 0;
    }
  }

  /**
   * @param {number} at
   * @returns {HTMLAnchorElement | null}
   */
  linkAt(at) {
    return this.rows.get(at)?.querySelector("th a") ?? null;
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || target.closest("thead")) {
      return;
    }
    const page = Math.max(1, Math.floor((this.region.clientHeight - this.head.offsetHeight) / this.rowHeight) - 1);
    const from = this.focused();
    const last = this.sessions.length - 1;
    /** @type {Record<string, number>} */
    const to = {
      ArrowDown: from + 1,
      ArrowUp: from - 1,
      PageDown: from + page,
      PageUp: from - page,
      Home: 0,
      End: last,
    };
    if (event.key in to && last >= 0) {
      event.preventDefault();
      this.goTo(Math.max(0, Math.min(to[event.key], last)));
    }
  }

  /** The row with the keyboard; without one the row above the first in sight. */
  focused() {
    const row = document.activeElement?.closest("tbody.rows tr");
    return row ? Number(row.getAttribute("aria-rowindex")) - 2 : this.firstInSight() - 1;
  }

  /** @param {number} step how many rows to go down; up if negative */
  move(step) {
    this.goTo(Math.max(0, Math.min(this.focused() + step, this.sessions.length - 1)));
  }

  firstInSight() {
    return Math.ceil(this.region.scrollTop / this.rowHeight);
  }

  /**
   * Brings a row into sight and the keyboard to it.
   *
   * @param {number} at
   */
  goTo(at) {
    const top = at * this.rowHeight;
    const seen = this.region.clientHeight - this.head.offsetHeight;
    // the row that is left may go out of the table: the region takes the focus over meanwhile
    if (top < this.region.scrollTop) {
      this.region.scrollTop = top;
    } else if (top + this.rowHeight > this.region.scrollTop + seen) {
      this.region.scrollTop = top + this.rowHeight - seen;
    }
    this.region.scrollIntoView({ block: "nearest" });
    this.current = at;
    this.draw();
    this.linkAt(at)?.focus({ preventScroll: true });
  }

  /** @param {boolean} all */
  print(all) {
    this.isPrinting = all;
    // rows on paper are lower than on the screen: what was measured there holds no longer
    this.rowHeight = 0;
    this.draw();
  }
}

/**
 * The names of groups above neighbouring columns, where they fit; none if no column is in a group. For the eye alone.
 *
 * @param {Column[]} columns
 * @returns {Node[]}
 */
function groupRow(columns) {
  /** @type {{group: string, span: number, width: number}[]} */
  const groups = [];
  for (const { group = "", width } of columns) {
    const last = groups.at(-1);
    if (last?.group === group) {
      last.span++;
      last.width += width;
    } else {
      groups.push({ group, span: 1, width });
    }
  }
  const cells = groups.map(({ group, span, width }) =>
    h("td", { colspan: span, class: group ? "group" : null, title: group || null }, 0.5 * group.length < width && group),
  );
  return groups.some(({ group }) => group) ? [h("tr", { class: "groups", "aria-hidden": "true" }, cells)] : [];
}
