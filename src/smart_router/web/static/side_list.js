// The list of sessions at the side: shown, named, pinned, ended.
import { announce } from "./announcer.js";
import { byId, el, fill } from "./dom.js";
import { ago } from "./format.js";
import { icon } from "./icons.js";
import { isUnderWay } from "./sessions.js";
import { lineOf } from "./use_cases.js";

const MOST_DOTS = 6;

export class SideList {
  #open = null; // the session whose buttons are shown
  #naming = null;

  /** *chosen*: one was picked; *end(session)* asks before it ends one; *hold(session, use case)* keeps it there. */
  constructor(sessions, { chosen, end, hold }) {
    Object.assign(this, { sessions, chosen, end, hold });
    this.element = byId("session-list");
    sessions.addEventListener("list", () => this.draw());
    sessions.addEventListener("turn", ({ detail }) => this.#heard(detail));
    this.element.addEventListener("keydown", (event) => this.#pressed(event));
    this.draw();
  }

  draw() {
    const focused = document.activeElement?.closest("[data-focus]")?.dataset.focus;
    const list = this.sessions.list.filter((session) => session === this.sessions.shown || !this.#isBlank(session));
    if (!list.some((session) => !this.#isBlank(session))) {
      fill(this.element, el("li", { class: "no-sessions" }, "What you ask is kept here, in this browser alone."));
      return;
    }
    const pinned = list.filter((session) => session.pinned);
    const others = list.filter((session) => !session.pinned);
    fill(
      this.element,
      pinned.length > 0 &&
        group(
          "Pinned",
          pinned.map((session) => this.#item(session)),
        ),
      others.length > 0 &&
        group(
          pinned.length ? "Others" : "",
          others.map((session) => this.#item(session)),
        ),
    );
    if (focused) this.element.querySelector(`[data-focus="${focused}"]`)?.focus();
  }

  #isBlank({ turns, draft, named }) {
    return !turns.length && !draft && !named;
  }

  #heard({ session, turn }) {
    const what = `${turn.state} ${turn.decision?.use_case}`;
    if (session.seen === what) return;
    session.seen = what;
    this.draw();
  }

  #item(session) {
    const shown = session === this.sessions.shown;
    const open = session === this.#open;
    const name = session.name || "New session";
    const row =
      this.#naming === session
        ? this.#nameBox(session)
        : el(
            "button",
            {
              type: "button",
              class: "session-name",
              "aria-current": shown ? "true" : null,
              "data-focus": `show-${session.id}`,
              on: { click: () => this.#show(session) },
            },
            el("span", { class: "session-title", dir: "auto" }, name),
            facts(session),
          );
    const more = el(
      "button",
      {
        type: "button",
        class: "quiet icon-only more",
        "aria-label": `More about ${name}`,
        "aria-expanded": String(open),
        "data-focus": `more-${session.id}`,
        on: { click: () => this.#toggle(session) },
      },
      icon("dots"),
    );
    return el(
      "li",
      { class: `session${shown ? " shown" : ""}` },
      row,
      this.#naming === session ? null : more,
      open && this.#buttons(session),
    );
  }

  #buttons(session) {
    const button = (label, drawing, focus, run) =>
      el(
        "button",
        { type: "button", class: "quiet small", "data-focus": `${focus}-${session.id}`, on: { click: run } },
        icon(drawing),
        label,
      );
    return el(
      "div",
      { class: "session-buttons" },
      button("Rename", "pencil", "rename", () => this.#name(session)),
      button(session.pinned ? "Unpin" : "Pin", "pin", "pin", () => this.#pin(session)),
      button("End", "bin", "end", () => this.end(session)),
      this.#holdButton(session, button),
    );
  }

  /** There must be a session at the router, on some use case. */
  #holdButton(session, button) {
    if (session.held) return button("Let the router choose", "fork", "hold", () => this.hold(session, ""));
    const last = session.turns.findLast(({ decision }) => decision?.use_case)?.decision.use_case;
    return last ? button(`Keep on ${last}`, "fork", "hold", () => this.hold(session, last)) : null;
  }

  #show(session) {
    this.#open = null;
    this.sessions.show(session);
    this.chosen();
  }

  #toggle(session) {
    this.#open = this.#open === session ? null : session;
    this.draw();
  }

  #pin(session) {
    this.sessions.pin(session, !session.pinned);
    announce(session.pinned ? "Pinned" : "No longer pinned");
  }

  #name(session) {
    this.#naming = session;
    this.#open = null;
    this.draw();
    const box = this.element.querySelector("input");
    box.focus();
    box.select();
  }

  #nameBox(session) {
    let left = false;
    const leave = (keep, value) => {
      if (left) return;
      left = true;
      this.#naming = null;
      if (keep) this.sessions.rename(session, value);
      else this.draw();
      this.element.querySelector(`[data-focus="show-${session.id}"]`)?.focus();
    };
    return el("input", {
      class: "rename",
      "aria-label": "Name of the session",
      value: session.name,
      maxlength: "120",
      dir: "auto",
      on: {
        blur: ({ target }) => leave(true, target.value),
        keydown: (event) => {
          if (event.key === "Enter" && !event.isComposing) leave(true, event.target.value);
          if (event.key === "Escape") {
            event.stopPropagation();
            leave(false);
          }
        },
      },
    });
  }

  /** Up and down go through the sessions. */
  #pressed(event) {
    if (!["ArrowDown", "ArrowUp"].includes(event.key) || !event.target.matches(".session-name")) return;
    event.preventDefault();
    const names = [...this.element.querySelectorAll(".session-name")];
    names[names.indexOf(event.target) + (event.key === "ArrowDown" ? 1 : -1)]?.focus();
  }
}

function group(title, items) {
  return el("li", { class: "session-group" }, title && el("h3", {}, title), el("ul", {}, items));
}

/** The lines that a session went along, each once, and when it was last heard of. */
function facts({ turns, updated, held }) {
  const lines = [...new Set(turns.map(({ decision }) => decision?.use_case).filter(Boolean))];
  const dots = lines.slice(-MOST_DOTS).map((useCase) => el("span", { class: `dot ${lineOf(useCase)}` }));
  const busy = turns.some(isUnderWay);
  return el(
    "span",
    { class: "session-facts" },
    el("span", { class: "dots-row", "aria-hidden": "true" }, dots),
    lines.length > 0 && el("span", { class: "sr" }, `used ${lines.join(", ")};`),
    el("span", {}, busy ? "answering" : held ? `kept on ${held}` : turns.length ? ago(updated, Date.now()) : "empty"),
  );
}
