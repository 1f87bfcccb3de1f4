// One turn: what was asked, where it went, the answer, and what can be done about it.
import { attachmentChip } from "./attachment_views.js";
import { copyButton } from "./copying.js";
import { el, fill, say } from "./dom.js";
import { icon } from "./icons.js";
import { languageOf } from "./language.js";
import { MarkdownView } from "./markdown/drawing.js";
import { isUnderWay } from "./sessions.js";
import { decisionBadges, timeBadges } from "./trail.js";
import { lineOf } from "./use_cases.js";
import { whyDisclosure } from "./why.js";

/** *actions*: {again(turn), edit(turn), key(), limits()}; *before*: the use case of the turn before, if any. */
export class TurnView {
  #answer = new MarkdownView();
  #head = el("div", { class: "answer-head" });
  #state = el("div", { class: "answer-state" });
  #foot = el("div", { class: "answer-foot" });
  #shown = {};
  #counting = null;

  constructor(session, turn, before, actions) {
    Object.assign(this, { session, turn, before, actions });
    this.element = el(
      "li",
      { class: "turn line-none", "data-turn": turn.id },
      asked(turn, before),
      el(
        "article",
        { class: "answer", "aria-label": "Answer" },
        this.#head,
        this.#answer.element,
        this.#state,
        this.#foot,
      ),
    );
    this.update();
  }

  update() {
    const { turn } = this;
    this.element.dataset.state = turn.state;
    this.element.classList.toggle("under-way", isUnderWay(turn));
    this.element.querySelector("article").setAttribute("aria-busy", String(isUnderWay(turn)));
    this.#when("decision", turn.decision, () => this.#drawHead());
    this.#when("text", turn.text, () => this.#answer.update(turn.text));
    this.#when(
      "state",
      `${turn.state} ${turn.elsewhere} ${turn.note} ${turn.trouble?.title ?? ""} ${turn.record?.finish_reason ?? ""} ${turn.text !== ""}`,
      () => this.#drawState(),
    );
    this.#when("foot", turn.state, () => this.#drawFoot());
  }

  close() {
    clearInterval(this.#counting);
  }

  #when(name, value, draw) {
    if (this.#shown[name] === value) return;
    this.#shown[name] = value;
    draw();
  }

  #drawHead() {
    const { decision, forgotten } = this.turn;
    for (const name of [...this.element.classList]) if (name.startsWith("line-")) this.element.classList.remove(name);
    this.element.classList.add(decision ? lineOf(decision.use_case) : "line-none");
    this.element.classList.toggle("bypassed", decision?.bypass_used === true);
    fill(
      this.#head,
      forgotten &&
        el(
          "p",
          { class: "forgotten" },
          icon("alert"),
          "The router no longer knew this session: it expired or was ended elsewhere. " +
            "The model has not seen what stands above.",
        ),
      decision && decisionBadges(decision, this.before),
    );
  }

  #drawState() {
    clearInterval(this.#counting);
    const { turn } = this;
    if (turn.state === "waiting" || (turn.state === "streaming" && !turn.text)) {
      fill(
        this.#state,
        el("p", { class: "waiting" }, el("span", { class: "dots", "aria-hidden": "true" }), waitingFor(turn)),
      );
    } else if (turn.state === "stopped") {
      this.#aside("Stopped.", "The model will not remember this answer.");
    } else if (turn.state === "interrupted" && turn.elsewhere) {
      this.#aside("It is being answered in another tab.", "What has arrived is shown here too.");
    } else if (turn.state === "interrupted") {
      this.#aside(
        "Interrupted: the page was closed or reloaded.",
        turn.text ? "What had arrived is shown." : "Nothing had arrived.",
      );
    } else if (turn.state === "failed") {
      this.#drawTrouble();
    } else if (turn.state === "done" && turn.record?.finish_reason === "length") {
      this.#aside("Cut off at the limit of tokens.", "", [button("Raise the limit", () => this.actions.limits())]);
    } else if (turn.state === "done" && !turn.text) {
      this.#aside("The model said nothing.", "", [this.#againButton()]);
    } else {
      fill(this.#state);
    }
  }

  #aside(title, advice, buttons = [this.#againButton()]) {
    fill(
      this.#state,
      el(
        "div",
        { class: "aside" },
        el("p", {}, el("strong", {}, title), advice && ` ${advice}`),
        el("div", { class: "aside-actions" }, buttons),
      ),
    );
  }

  #drawTrouble() {
    const { trouble } = this.turn;
    const again = this.#againButton();
    const actions = [
      trouble?.kind === "key" && button("Enter the key", () => this.actions.key(this.turn), "key"),
      again,
      button("Edit", () => this.actions.edit(this.turn), "pencil"),
    ];
    const id = trouble?.requestId
      ? el("p", { class: "request-id" }, "Request ", el("code", {}, trouble.requestId))
      : null;
    const text = el(
      "p",
      {},
      el("strong", {}, trouble?.title ?? "It failed."),
      trouble?.advice ? ` ${trouble.advice}` : "",
    );
    fill(
      this.#state,
      el(
        "div",
        { class: "trouble" },
        icon("alert"),
        el("div", {}, text, id, el("div", { class: "aside-actions" }, actions)),
      ),
    );
    if (trouble?.until > Date.now()) this.#count(again, trouble.until);
  }

  /** The button waits as long as the router asked for. */
  #count(again, until) {
    const tick = () => {
      const left = Math.ceil((until - Date.now()) / 1000);
      again.disabled = left > 0;
      say(again.lastElementChild, left > 0 ? `Try again in ${left} s` : "Try again");
      if (left <= 0) clearInterval(this.#counting);
    };
    tick();
    this.#counting = setInterval(tick, 500);
  }

  #againButton() {
    return button(
      this.turn.state === "failed" ? "Try again" : "Ask again",
      () => this.actions.again(this.turn),
      "again",
    );
  }

  #drawFoot() {
    const { turn } = this;
    if (isUnderWay(turn) || !turn.decision) return fill(this.#foot);
    const [why, panel] = whyDisclosure(turn, this.session.id);
    const copy = turn.text && copyButton(() => turn.text, "Copy the answer");
    return fill(this.#foot, timeBadges(turn), el("div", { class: "foot-row" }, why, copy), panel);
  }
}

/** The line that led here goes by at its side. */
function asked({ query, attachments, choice }, before) {
  const files =
    attachments.length > 0 &&
    el(
      "ul",
      { class: "chips", "aria-label": "Attachments" },
      attachments.map((one) => attachmentChip(one)),
    );
  const text = el("p", { dir: "auto", lang: languageOf(query) }, query);
  const to = choice && el("p", { class: "chosen" }, `to ${choice}`);
  return el(
    "div",
    { class: `asked ${before ? lineOf(before) : "line-start"}`, role: "group", "aria-label": "You" },
    files,
    text,
    to,
  );
}

function waitingFor({ note, decision, attachments }) {
  if (note) return `Waiting: ${note}`;
  if (decision) return "The model is thinking";
  return attachments.length ? "Sending and routing" : "Routing";
}

function button(label, run, drawing = null) {
  return el(
    "button",
    { type: "button", class: "small", on: { click: run } },
    drawing && icon(drawing),
    el("span", {}, label),
  );
}
