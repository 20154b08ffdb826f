// What a page says that was asked for a session or subject which is not there.

import { load } from "./data.js";
import { byId, h, panel, show } from "./dom.js";
import { near, parts, sessionPage, subjectPage } from "./ids.js";
import { foot } from "./shell.js";
import { listAddress } from "./view.js";

/**
 * Says so, and offers what may have been meant.
 *
 * @param {"session" | "subject"} kind
 * @param {string} asked as in the address
 * @throws {import("./data.js").DataError} the list of sessions could not be read either
 */
export async function explainUnknown(kind, asked) {
  const data = await load("sessions.json");
  foot(data);
  const title = asked ? `No ${kind} ${asked}` : `Which ${kind}?`;
  document.title = `${title} · npc_lims`;
  byId("title").textContent = title;
  const found = asked ? near(asked, data.id, kind === "session" ? 12 : data.id.length) : [];
  const offers =
    kind === "session"
      ? found.map((id) => h("a", { href: sessionPage(id) }, id))
      : [...new Set(found.map((id) => parts(id).subject))]
          .slice(0, 12)
          .map((subject) => h("a", { href: subjectPage(subject) }, subject));
  show(
    byId("content"),
    h(
      "div",
      { class: "notice", role: "note" },
      asked
        ? h(
            "p",
            null,
            `State has no ${kind} of this name. It may be mistyped, not yet tracked, or younger than this site.`,
          )
        : h("p", null, `The address of this page names no ${kind}: it ends with ?id= and the name.`),
    ),
    offers.length
      ? panel(
          { id: "near", title: "Was it one of these?" },
          h(
            "ul",
            { class: "near" },
            offers.map((offer) => h("li", null, offer)),
          ),
        )
      : null,
    h(
      "p",
      { class: "more" },
      h(
        "a",
        { href: listAddress(asked ? { q: asked } : {}) },
        asked ? `Search for “${asked}” in all sessions` : "All sessions",
      ),
    ),
  );
}
