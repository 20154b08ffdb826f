// Facts as they are recorded: an object, "nothing there" (false, an empty list) and "never observed" (null) are three
// things.

import { copyButton, h, link, prose, tableHead, webAddress } from "./dom.js";
import { mark } from "./marks.js";
import { utc } from "./time.js";

const TIME = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z$/;

/** @param {string} [text] */
export function nothing(text = "nothing there") {
  return h("span", { class: "nothing" }, h("span", { class: "mark n", "aria-hidden": "true" }, "○"), ` ${text}`);
}

export function neverObserved() {
  return h("span", { class: "nothing" }, h("span", { class: "mark u", "aria-hidden": "true" }, "?"), " never observed");
}

/**
 * @param {any} value
 * @returns {Node}
 */
export function fact(value) {
  if (value === null || value === undefined) {
    return neverObserved();
  }
  if (value === false || (Array.isArray(value) && !value.length)) {
    return nothing(value === false ? "no" : "nothing there");
  }
  if (value === true) {
    return h("span", null, h("span", { class: "mark y", "aria-hidden": "true" }, "✓"), " yes");
  }
  if (Array.isArray(value)) {
    return h(
      "ul",
      null,
      value.map((one) => h("li", null, fact(one))),
    );
  }
  if (typeof value === "object") {
    return Object.keys(value).length ? facts(value) : nothing();
  }
  if (typeof value === "string" && webAddress(value)) {
    return link(value, value);
  }
  if (typeof value === "string" && TIME.test(value)) {
    return h("time", { datetime: value }, utc(value));
  }
  const text = String(value);
  return text.startsWith("//") || text.startsWith("s3://") ? copyable(text, "the path") : h("span", null, text);
}

/**
 * A text that can be copied as it stands.
 *
 * @param {string} text
 * @param {string} what
 */
function copyable(text, what) {
  return h("span", null, h("span", { class: "code" }, text), copyButton(text, what));
}

/**
 * @param {Record<string, any>} values
 * @returns {HTMLElement}
 */
export function facts(values) {
  return h(
    "dl",
    { class: "facts" },
    Object.entries(values)
      .map(([name, value]) => [h("dt", null, spaced(name)), h("dd", null, fact(value))])
      .flat(),
  );
}

/**
 * What a source recorded of a session.
 *
 * @param {any} section
 * @param {(section: any) => Node} draw for an object
 */
export function section(section, draw) {
  if (section === null || section === undefined) {
    return h("p", null, neverObserved(), ": the source was not read completely since the session is known.");
  }
  return section === false
    ? h("p", null, nothing(), ": the source was read, and does not have this session.")
    : draw(section);
}

/**
 * Where the files of a session are, and why others are not there.
 *
 * @param {any[]} files
 * @param {any[]} missing
 */
export function fileTable(files, missing) {
  return h(
    "div",
    null,
    h(
      "table",
      { class: "plain assets" },
      h("caption", { class: "hidden" }, "Assets and files"),
      tableHead(["What", "Location and name", "Created", "On"]),
      h("tbody", null, files.map(fileRow)),
    ),
    missing.length
      ? h(
          "details",
          { class: "more" },
          h("summary", null, `Not there: ${missing.length} more`),
          h("dl", { class: "facts" }, missing.map(missingFile).flat()),
        )
      : null,
  );
}

/** @param {string} name of a field */
function spaced(name) {
  return name.replaceAll("_", " ");
}

/** @param {any} file */
function fileRow({ what, location: place, name, id, created, codeocean, s3 }) {
  return h(
    "tr",
    null,
    h("th", { scope: "row" }, what),
    h(
      "td",
      null,
      copyable(place, `the location of: ${what}`),
      id && created ? h("div", { class: "quiet" }, copyable(name, `the name of: ${what}`)) : null,
    ),
    h(
      "td",
      { class: "when" },
      created ? h("time", { datetime: created, title: utc(created) }, utc(created, true)) : null,
    ),
    h(
      "td",
      null,
      h("span", { class: "links" }, codeocean ? link(codeocean, "Code Ocean") : null, s3 ? link(s3, "S3") : null),
    ),
  );
}

/** @param {any} missing */
function missingFile({ what, status, reason }) {
  return [h("dt", null, mark(status === "unknown" ? "?" : "n"), " ", what), h("dd", null, prose(reason))];
}
