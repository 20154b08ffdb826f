// The panels above the list in which things are ticked: facets, statuses, columns. One is open at a time.

import { h, show } from "./dom.js";
import { mark, ORDER, VALUES } from "./marks.js";
import { number } from "./time.js";

/** A button that opens a sheet with boxes to tick; what is in it is drawn when it is seen. */
export class Choice {
  /**
   * @param {string} label
   * @param {() => Node} draw the sheet's content, as things are now
   */
  constructor(label, draw) {
    this.label = label;
    this.draw = draw;
    // filled as it opens: the event that tells that it is open comes later, and a quick Tab would find nothing in it
    this.summary = h("summary", { onclick: () => this.element.open || show(this.sheet, this.draw()) }, label);
    this.sheet = h("div", { class: "sheet" });
    /** @type {HTMLDetailsElement} */
    this.element = h(
      "details",
      { class: "choice", name: "choice", ontoggle: () => this.element.open && this.place() },
      this.summary,
      this.sheet,
    );
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.element.open) {
        event.stopPropagation();
        this.element.open = false;
        this.summary.focus();
      }
    });
    document.addEventListener("pointerdown", (event) => {
      if (this.element.open && !this.element.contains(/** @type {Node} */ (event.target))) {
        this.element.open = false;
      }
    });
  }

  /** @param {number} chosen how many things are ticked */
  mark(chosen) {
    this.summary.textContent = chosen ? `${this.label} (${chosen})` : this.label;
    this.element.classList.toggle("chosen", chosen > 0);
  }

  /** A sheet that would leave the window on the right goes to the left of its button. */
  place() {
    this.sheet.classList.remove("leftwards");
    this.sheet.classList.toggle(
      "leftwards",
      this.sheet.getBoundingClientRect().right > document.documentElement.clientWidth,
    );
  }

  /** Draws the sheet anew, if it is open; the keyboard stays on the box it is on. */
  update() {
    if (!this.element.open) {
      return;
    }
    const focused = /** @type {HTMLElement | null} */ (document.activeElement?.closest("[data-key]"));
    const key = this.sheet.contains(focused) ? focused?.dataset.key : undefined;
    const top = this.sheet.scrollTop;
    show(this.sheet, this.draw());
    this.sheet.scrollTop = top;
    this.place();
    if (key !== undefined) {
      this.sheet.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
    }
  }
}

/**
 * @param {string} key
 * @param {boolean} checked
 * @param {(checked: boolean) => void} onChange
 * @returns {HTMLInputElement}
 */
function box(key, checked, onChange) {
  const input = h("input", { type: "checkbox", "data-key": key, onchange: () => onChange(input.checked) });
  input.checked = checked;
  return input;
}

/**
 * One box for each value.
 *
 * @param {string} legend
 * @param {{value: string, label: string, count: number | null}[]} values
 * @param {string[]} chosen
 * @param {(chosen: string[]) => void} onChange
 * @param {string} [css]
 */
export function boxes(legend, values, chosen, onChange, css = "") {
  const all = values.map(({ value }) => value);
  const toggle = (/** @type {string} */ value, /** @type {boolean} */ on) =>
    onChange(
      [...all, ...chosen].filter(
        (one, n, list) => list.indexOf(one) === n && (one === value ? on : chosen.includes(one)),
      ),
    );
  return h(
    "fieldset",
    null,
    h("legend", { class: "hidden" }, legend),
    h(
      "div",
      { class: css },
      values.map(({ value, label, count }) =>
        h(
          "label",
          null,
          box(value, chosen.includes(value), (on) => toggle(value, on)),
          label,
          h("span", { class: "quiet number" }, count === null ? "" : number(count)),
        ),
      ),
    ),
  );
}

/**
 * All flags, and the values that each may have: none ticked is any.
 *
 * @param {string[]} flags
 * @param {Record<string, string>} labels
 * @param {Record<string, Record<string, number>>} counts
 * @param {Record<string, import("./marks.js").Value[]>} chosen
 * @param {(flag: string, values: import("./marks.js").Value[]) => void} onChange
 */
export function statusBoxes(flags, labels, counts, chosen, onChange) {
  const cell = (/** @type {string} */ flag, /** @type {import("./marks.js").Value} */ value) => {
    const now = chosen[flag] ?? [];
    const count = counts[flag][value];
    const isChosen = now.includes(value);
    const input = box(`${flag}:${value}`, isChosen, (on) =>
      onChange(
        flag,
        ORDER.filter((one) => (one === value ? on : now.includes(one))),
      ),
    );
    input.setAttribute("aria-label", `${labels[flag]}: ${VALUES[value].word}`);
    return h("td", null, count || isChosen ? h("label", null, input, h("span", { class: "n" }, number(count))) : null);
  };
  return h(
    "table",
    { class: "statuses" },
    h("caption", { class: "hidden" }, "Status: which values to show"),
    h(
      "thead",
      null,
      h(
        "tr",
        null,
        h("th", { scope: "col" }, "Status"),
        ORDER.map((value) =>
          h(
            "th",
            { scope: "col" },
            mark(value),
            " ",
            h(
              "span",
              { class: "word", "aria-hidden": "true" },
              VALUES[value].name === "na" ? "n/a" : VALUES[value].word,
            ),
          ),
        ),
      ),
    ),
    h(
      "tbody",
      null,
      flags.map((flag) =>
        h(
          "tr",
          null,
          h("th", { scope: "row" }, labels[flag]),
          ORDER.map((value) => cell(flag, value)),
        ),
      ),
    ),
  );
}
