// Facts as they are recorded: an object, "nothing there" (false, an empty list) and "never observed" (null) are three
// things.

import { copyButton, h, link, tableHead, webAddress } from "./dom.js";
import { utc } from "./time.js";

const TIME = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z$/;

/** @param {string} [text] */
export function nothing(text = "nothing there") {
  return h("span", { class: "nothing" }, h("span", { class: "mark n", "aria-hidden": "true" }, "·"), ` ${text}`);
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
  const isPath = text.startsWith("//") || text.startsWith("s3://");
  return h(
    "span",
    null,
    h("span", { class: isPath ? "code" : null }, text),
    isPath ? copyButton(text, "the path") : null,
  );
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
 * Data assets, with their pages.
 *
 * @param {Record<string, any>} assets by kind: an asset, false or null
 * @param {Record<string, {codeocean: string | null, s3: string | null}>} links
 */
export function assetTable(assets, links) {
  const kinds = Object.keys(assets);
  const isAsset = (/** @type {string} */ kind) =>
    typeof assets[kind]?.id === "string" && typeof assets[kind]?.name === "string";
  const there = kinds.filter(isAsset);
  const others = kinds.filter((kind) => !isAsset(kind) && assets[kind] !== false && assets[kind] !== null);
  const named = (/** @type {(kind: string) => boolean} */ choose) => kinds.filter(choose).map(spaced).join(", ");
  const missing = named((kind) => assets[kind] === false);
  const unknown = named((kind) => assets[kind] === null);
  return h(
    "div",
    null,
    there.length
      ? h(
          "table",
          { class: "plain assets" },
          h("caption", { class: "hidden" }, "Data assets"),
          tableHead(["Asset", "Name", "Created", "Where"]),
          h(
            "tbody",
            null,
            there.map((kind) => assetRow(kind, assets[kind], links[kind])),
          ),
        )
      : null,
    h(
      "dl",
      { class: "facts rest" },
      others.map((kind) => [h("dt", null, spaced(kind)), h("dd", null, fact(assets[kind]))]).flat(),
      missing ? [h("dt", null, nothing()), h("dd", null, missing)] : null,
      unknown ? [h("dt", null, neverObserved()), h("dd", null, unknown)] : null,
    ),
  );
}

/** @param {string} name of a field */
function spaced(name) {
  return name.replaceAll("_", " ");
}

/**
 * @param {string} kind
 * @param {any} asset
 * @param {{codeocean: string | null, s3: string | null} | undefined} links
 */
function assetRow(kind, asset, links) {
  const { name: title, created, location, id, ...others } = asset;
  return h(
    "tr",
    null,
    h("th", { scope: "row" }, spaced(kind)),
    h("td", null, h("span", { class: "code" }, title), Object.keys(others).length ? facts(others) : null),
    h(
      "td",
      { class: "when" },
      created ? h("time", { datetime: created, title: utc(created) }, utc(created, true)) : null,
    ),
    h(
      "td",
      null,
      h(
        "span",
        { class: "links" },
        links?.codeocean ? link(links.codeocean, "Code Ocean") : null,
        links?.s3 ? link(links.s3, "S3") : null,
        copyButton(location ?? id, location ? `where ${kind} is` : `the id of ${kind}`),
      ),
    ),
  );
}
