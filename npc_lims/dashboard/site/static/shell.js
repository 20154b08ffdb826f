// What all pages share: the search field, the colours, the line at the foot.

import { byId, h, link, show } from "./dom.js";
import { pageFor } from "./ids.js";
import { time } from "./time.js";

const KEY = "npc-lims-theme";

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
    remember(follows ? null : theme);
    label();
  });
  system.addEventListener("change", label);
  label();
}

/** @param {string | null} theme */
function remember(theme) {
  try {
    if (theme) {
      localStorage.setItem(KEY, theme);
    } else {
      localStorage.removeItem(KEY);
    }
  } catch {
    // a browser that keeps nothing for this site: the choice holds for this page
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
  );
}
