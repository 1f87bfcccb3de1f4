// Where the message in the box would go if it were sent now: POST /classify, which changes nothing.
import { byId, el, fill } from "./dom.js";
import { icon } from "./icons.js";
import { routeBody } from "./request_body.js";
import { ask } from "./router_calls.js";
import { decisionBadges } from "./trail.js";
import { Trouble } from "./trouble.js";
import { lineOf } from "./use_cases.js";
import { explanation } from "./why.js";

export class WhatIf {
  #within = true; // the session counts
  #asked = null;

  constructor() {
    this.box = byId("what-if-answer");
  }

  close() {
    this.#asked = null;
    this.box.hidden = true;
    fill(this.box);
  }

  /** The words have changed: what is shown is no longer about them. */
  outdated() {
    this.box.classList.toggle("outdated", !this.box.hidden);
  }

  async look(session, turn) {
    const asked = { session, turn };
    this.#asked = asked;
    this.box.hidden = false;
    this.box.classList.remove("outdated");
    this.#draw(el("p", { class: "further" }, "Looking…"));
    let shown;
    try {
      shown = decided(await ask("POST", "classify", this.#body(session, turn)));
    } catch (error) {
      if (!(error instanceof Trouble)) throw error;
      shown = el("p", { class: "further" }, el("strong", {}, error.title), ` ${error.advice}`);
    }
    if (this.#asked === asked) this.#draw(shown);
  }

  #body(session, { query, attachments, choice }) {
    const sessionId = this.#within && session.turns.length ? session.id : null;
    return routeBody({ query, sessionId, attachments, choice, fields: {}, stream: false });
  }

  #draw(content) {
    const { session } = this.#asked;
    const close = el(
      "button",
      {
        type: "button",
        class: "quiet icon-only",
        "aria-label": "Close the preview",
        "data-focus": "close",
        on: { click: () => this.#leave() },
      },
      icon("close"),
    );
    const head = el(
      "div",
      { class: "what-if-head" },
      el("h2", {}, "If you sent this now"),
      session.turns.length > 0 && this.#switch(),
      close,
    );
    const focused = this.box.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    fill(this.box, head, content);
    if (focused) this.box.querySelector(`[data-focus="${focused}"]`)?.focus();
  }

  #leave() {
    this.close();
    byId("ask").focus();
  }

  #switch() {
    const option = (within, label) =>
      el(
        "button",
        {
          type: "button",
          "aria-pressed": String(this.#within === within),
          "data-focus": `within-${within}`,
          on: { click: () => this.#choose(within) },
        },
        label,
      );
    return el(
      "div",
      { class: "switch", role: "group", "aria-label": "Which session counts" },
      option(true, "in this session"),
      option(false, "as a first message"),
    );
  }

  #choose(within) {
    const { session, turn } = this.#asked;
    this.#within = within;
    this.look(session, turn);
  }
}

function decided(answer) {
  return el("div", { class: lineOf(answer.use_case) }, decisionBadges(answer), explanation(answer, answer));
}
