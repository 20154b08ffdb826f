// Elements, made by DOM calls alone: nothing here takes HTML, so no value can become markup.

/** @typedef {Node | string | number | null | undefined | false} Child */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element with attributes, listeners (`onclick: () => {}`) and children, of which those that are null or false are
 * left out.
 *
 * @param {string} tag
 * @param {Record<string, any> | null} [properties]
 * @param {...(Child | Child[])} children
 * @returns {any}
 */
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/**
 * The same for SVG.
 *
 * @param {string} tag
 * @param {Record<string, any> | null} [properties]
 * @param {...(Child | Child[])} children
 * @returns {any}
 */
export function svg(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

/**
 * A section with a heading.
 *
 * @param {{id: string, title: string, css?: string, beside?: Child}} heading with what stands *beside* it
 * @param {...(Child | Child[])} children
 * @returns {HTMLElement}
 */
export function panel({ id, title, css = "", beside }, ...children) {
  const heading = h("h2", { id }, title);
  return h(
    "section",
    { class: `panel ${css}`.trim(), "aria-labelledby": id },
    beside ? h("div", { class: "row" }, heading, beside) : heading,
    ...children,
  );
}

/**
 * The head of a table.
 *
 * @param {string[]} names of the columns
 * @returns {HTMLElement}
 */
export function tableHead(names) {
  const cells = names.map((name) => h("th", { scope: "col" }, name));
  return h("thead", null, h("tr", null, cells));
}

/**
 * The key of a chart.
 *
 * @param {string[][]} colours pairs of a class and its meaning
 * @returns {HTMLElement}
 */
export function chartKey(colours) {
  const items = colours.map(([css, meaning]) =>
    h("li", null, h("span", { class: "bar", "aria-hidden": "true" }, h("span", { class: css })), meaning),
  );
  return h("ul", { class: "keys" }, items);
}

/**
 * @param {Element} element
 * @param {Record<string, any> | null | undefined} properties
 * @param {(Child | Child[])[]} children
 */
function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) {
      continue;
    }
    if (name.startsWith("on")) {
      element.addEventListener(name.slice(2), value);
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  add(element, children);
  return element;
}

/**
 * @param {Element} element
 * @param {(Child | Child[])[]} children
 */
export function add(element, children) {
  for (const child of children.flat()) {
    if (child !== null && child !== undefined && child !== false) {
      element.append(child instanceof Node ? child : String(child));
    }
  }
}

/**
 * Puts *children* in the place of all that *element* holds.
 *
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function show(element, ...children) {
  element.replaceChildren();
  add(element, children);
}

/**
 * The element that a page surely has.
 *
 * @param {string} id
 * @returns {any}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) {
    throw new Error(`the page has no element #${id}`);
  }
  return element;
}

/**
 * The address if it is one of the web, else null: a value of the data may be `javascript:...`, or no address at all.
 *
 * @param {unknown} address
 * @returns {string | null}
 */
export function webAddress(address) {
  if (typeof address !== "string" || !/^https?:\/\//i.test(address)) {
    return null;
  }
  try {
    const { protocol, href } = new URL(address);
    return protocol === "https:" || protocol === "http:" ? href : null;
  } catch {
    return null;
  }
}

/**
 * A link to another site, or plain text where the address is none of the web.
 *
 * @param {unknown} address
 * @param {Child} text
 * @param {Record<string, any>} [properties]
 * @returns {Node}
 */
export function link(address, text, properties) {
  const href = webAddress(address);
  return href ? h("a", { href, rel: "noopener", ...properties }, text) : h("span", null, text);
}

/**
 * A sentence in which `words in backticks` are code.
 *
 * @param {string} text
 * @returns {Node[]}
 */
export function prose(text) {
  return text.split("`").map((part, index) => (index % 2 ? h("code", null, part) : document.createTextNode(part)));
}

/**
 * A button that copies *text*.
 *
 * @param {string} text
 * @param {string} what
 * @returns {HTMLElement | null} null where the browser does not let a page copy
 */
export function copyButton(text, what) {
  if (!navigator.clipboard) {
    return null;
  }
  const label = h("span", null, "copy");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      label.textContent = "copied";
    } catch {
      label.textContent = "not copied: the browser refused";
    }
    setTimeout(() => (label.textContent = "copy"), 2000);
  };
  return h(
    "button",
    { type: "button", class: "plain copy no-print", onclick: copy },
    h("span", { role: "status" }, label),
    h("span", { class: "hidden" }, ` ${what}`),
  );
}
