// The conversation that is shown, and where it is scrolled to.
import { announce } from "./announcer.js";
import { byId, el, fill } from "./dom.js";
import { firstWords, shortModel } from "./format.js";
import { TurnView } from "./turn_view.js";

const NEAR_PX = 120; // of the end: then it is followed
const AT_ONCE = 40; // turns that are drawn; a browser takes long over hundreds
const SAID = 300; // characters of an answer that are read out

export class Transcript {
  #views = new Map();
  #waiting = new Set();
  #frame = 0;
  #first = 0; // the earliest turn that is drawn

  constructor(sessions, actions) {
    this.sessions = sessions;
    this.actions = actions;
    this.list = byId("transcript");
    this.scroller = byId("scroller");
    sessions.addEventListener("shown", () => this.draw());
    sessions.addEventListener("turn", ({ detail }) => this.#heard(detail));
    this.draw();
  }

  draw() {
    const { shown } = this.sessions;
    for (const view of this.#views.values()) view.close();
    this.#views.clear();
    this.#first = Math.max(0, shown.turns.length - AT_ONCE);
    fill(this.list, this.#earlier(), this.#drawn(this.#first, shown.turns.length));
    byId("empty").hidden = shown.turns.length > 0;
    this.#toEnd();
  }

  #drawn(from, to) {
    return this.sessions.shown.turns.slice(from, to).map((turn, i) => this.#view(turn, from + i).element);
  }

  /** A button for the turns before those that are drawn, if there are any. */
  #earlier() {
    if (this.#first === 0) return null;
    const label =
      this.#first === 1
        ? "Show the earlier turn"
        : `Show ${Math.min(AT_ONCE, this.#first)} of ${this.#first} earlier turns`;
    return el(
      "li",
      { class: "earlier" },
      el("button", { type: "button", class: "small", on: { click: () => this.#drawEarlier() } }, label),
    );
  }

  /** What is looked at stays where it is, and the focus goes to the next such button, else to the conversation. */
  #drawEarlier() {
    const below = this.scroller.scrollHeight - this.scroller.scrollTop;
    const to = this.#first;
    this.#first = Math.max(0, to - AT_ONCE);
    this.list.querySelector(".earlier").remove();
    this.list.prepend(...[this.#earlier(), ...this.#drawn(this.#first, to)].filter(Boolean));
    this.scroller.scrollTop = this.scroller.scrollHeight - below;
    (this.list.querySelector(".earlier button") ?? this.scroller).focus({ preventScroll: true });
  }

  #view(turn, i) {
    const { shown } = this.sessions;
    const before = shown.turns.slice(0, i).findLast(({ decision }) => decision)?.decision.use_case ?? null;
    const view = new TurnView(shown, turn, before, this.actions);
    this.#views.set(turn.id, view);
    return view;
  }

  /** At most once a frame, however fast the words come. */
  #heard({ session, turn }) {
    if (session === this.sessions.shown) {
      this.#waiting.add(turn);
      if (!this.#frame) this.#frame = requestAnimationFrame(() => this.#drawWaiting());
    }
    if (turn.state === "done" || turn.state === "failed") announceEnd(session, turn, session === this.sessions.shown);
  }

  #drawWaiting() {
    this.#frame = 0;
    const follow = this.#isNearEnd();
    let added = false;
    for (const turn of this.#waiting) {
      const at = this.sessions.shown.turns.indexOf(turn);
      if (at < this.#first) continue;
      const view = this.#views.get(turn.id);
      if (view) {
        view.update();
      } else {
        this.list.append(this.#view(turn, at).element);
        added = true;
      }
    }
    this.#waiting.clear();
    byId("empty").hidden = this.sessions.shown.turns.length > 0;
    if (follow || added) this.#toEnd();
  }

  #isNearEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_PX;
  }

  #toEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }
}

let last = null;

function announceEnd(session, turn, isShown) {
  const what = `${turn.id} ${turn.state} ${turn.totalMs}`;
  if (last === what) return;
  last = what;
  if (turn.state === "failed") return announce(`${turn.trouble?.title ?? "It failed."} ${turn.trouble?.advice ?? ""}`);
  const { use_case: useCase = "", selected_model: model = "" } = turn.decision ?? {};
  const said = isShown ? firstWords(turn.text, SAID) : `in the session ${session.name}`;
  return announce(`Answer from ${useCase}, ${shortModel(model)}: ${said}`);
}
