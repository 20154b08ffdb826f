// What all pages share: the search field, the colours, the line at the foot.

import { byId, h, link, show } from "./dom.js";
import { pageFor } from "./ids.js";
import { time } from "./time.js";

const KEY = "npc-lims-theme";
const SHORTCUTS_KEY = "npc-lims-shortcuts";

/** @type {[string[], string][]} */
const SHORTCUTS = [
  [["/"], "Search"],
  [["↓", "↑", "j", "k"], "Next and previous row of the list; ↓ also from the search field"],
  [["Page Down", "Page Up"], "Next and previous screen of rows"],
  [["Home", "End"], "First and last row"],
  [["Enter"], "Open the session of the row"],
  [["Esc"], "Close a sheet of filters, or this window"],
  [["?"], "Show these shortcuts"],
];

/** Brings the header to life. */
export function start() {
  const find = /** @type {HTMLFormElement | null} */ (document.getElementById("find-form"));
  find?.addEventListener("submit", (event) => {
    event.preventDefault();
    const page = pageFor(/** @type {HTMLInputElement} */ (byId("find")).value);
    // from the top of the site: the page for what is not there is shown at addresses of whatever depth
    location.assign(new URL(`../${page}`, import.meta.url));
  });
  const button = /** @type {HTMLButtonElement} */ (byId("theme"));
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const label = () => {
    const text = isDark() ? "Light colours" : "Dark colours";
    button.setAttribute("aria-label", text);
    button.title = text;
    button.textContent = isDark() ? "☀︎" : "☾";
  };
  button.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    // whoever comes back to the system's colours follows the system again
    const follows = (theme === "dark") === system.matches;
    if (follows) {
      delete document.documentElement.dataset.theme;
    } else {
      document.documentElement.dataset.theme = theme;
    }
    remember(KEY, follows ? null : theme);
    label();
  });
  system.addEventListener("change", label);
  label();
  addEventListener("keydown", shortcut);
}

/**
 * Whether a key may be a shortcut: not while somebody types, and no letter where these are switched off.
 *
 * @param {KeyboardEvent} event
 */
export function isShortcut(event) {
  const target = /** @type {Element} */ (event.target);
  const isTyping = target.matches("input:not([type=checkbox]), textarea, select, [contenteditable]");
  const isOff = event.key.length === 1 && remembered(SHORTCUTS_KEY) === "off";
  return !isTyping && !isOff && !event.ctrlKey && !event.metaKey && !event.altKey;
}

/** @param {KeyboardEvent} event */
function shortcut(event) {
  if (!isShortcut(event)) {
    return;
  }
  const search = /** @type {HTMLInputElement | null} */ (document.querySelector("input[type=search]"));
  if (event.key === "/" && search && !document.querySelector("dialog[open]")) {
    event.preventDefault();
    search.focus();
    search.select();
  } else if (event.key === "?") {
    event.preventDefault();
    showShortcuts();
  }
}

function showShortcuts() {
  document.querySelector("dialog")?.remove();
  const on = h("input", {
    type: "checkbox",
    onchange: () => remember(SHORTCUTS_KEY, on.checked ? null : "off"),
  });
  on.checked = remembered(SHORTCUTS_KEY) !== "off";
  const dialog = h(
    "dialog",
    { class: "shortcuts", "aria-labelledby": "shortcuts", onclose: () => dialog.remove() },
    h("h2", { id: "shortcuts" }, "Keyboard shortcuts"),
    h(
      "dl",
      null,
      SHORTCUTS.map(([keys, what]) => [
        h("dt", null, keys.map((key) => h("kbd", null, key))),
        h("dd", null, what),
      ]).flat(),
    ),
    h("p", null, h("label", null, on, " Use letters and signs (/ ? j k) as shortcuts in this browser")),
    h("form", { method: "dialog" }, h("button", null, "Close")),
  );
  document.body.append(dialog);
  dialog.showModal();
}

/**
 * @param {string} key
 * @param {string | null} value
 */
function remember(key, value) {
  try {
    if (value) {
      localStorage.setItem(key, value);
    } else {
      localStorage.removeItem(key);
    }
  } catch {
    // a browser that keeps nothing for this site: the choice holds for this page
  }
}

/** @param {string} key */
function remembered(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/**
 * The line at the foot: when the site was made, and of what.
 *
 * @param {{
 *   made: string, version?: string, repository?: string, branch?: string,
 *   commit?: string | null, commit_url?: string | null,
 * }} about
 */
export function foot(about) {
  const { made, version, repository, branch, commit, commit_url: address } = about;
  show(
    byId("about"),
    h("span", null, "Made ", time(made), version ? ` by npc_lims ${version}` : ""),
    repository ? h("span", null, `from ${repository}`, branch ? `, ${branch}` : "") : null,
    commit ? h("span", null, "at ", link(address, h("span", { class: "code" }, commit.slice(0, 10)))) : null,
    h("span", null, h("a", { href: "sessions.jsonl" }, "all sessions as data")),
    h("span", null, h("a", { href: "feed.atom" }, "feed of changes")),
    h("button", { type: "button", class: "plain no-print", onclick: showShortcuts }, "keyboard shortcuts (?)"),
  );
}

/**
 * Offers the feed of what the page shows, to feed readers too, beside that of everything; instead of one before.
 *
 * @param {string | null | undefined} path of its file; without one there is none
 * @param {string} title
 * @returns {HTMLElement | null} a link to it
 */
export function feedLink(path, title) {
  document.head.querySelector("link[data-feed]")?.remove();
  if (!path) {
    return null;
  }
  document.head.append(
    h("link", { rel: "alternate", type: "application/atom+xml", href: path, title, "data-feed": "" }),
  );
  return h("a", { href: path, title }, "Atom feed");
}
