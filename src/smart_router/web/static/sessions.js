// The sessions of this page: which there are, which is shown, and what is kept of them.
import { firstWords } from "./format.js";
import { PREFIX, Shelf } from "./shelf.js";

const SHOWN = "smart-router/shown"; // in this tab's own storage: each tab shows its own
const SAVE_AFTER_MS = 400;
const NAME_LENGTH = 48;

/** Events: `list` (names, order), `shown` (another session), `turn` (detail: {session, turn}), `unkept`, `trimmed`. */
export class Sessions extends EventTarget {
  #shelf;
  #late = new Map(); // session id -> timer of a save that waits

  constructor(storage) {
    super();
    this.#shelf = new Shelf(storage);
    const { sessions, damaged } = this.#shelf.load();
    this.all = sessions;
    this.damaged = damaged;
    this.shown = this.#find(readTab()) ?? sessions[0] ?? this.#add();
  }

  /** The pinned first, then the latest. */
  get list() {
    return [...this.all].sort((a, b) => Number(b.pinned) - Number(a.pinned) || b.updated - a.updated);
  }

  /** An empty one is used before another is made. */
  begin() {
    const empty = this.all.find(({ turns, draft, named }) => turns.length === 0 && draft === "" && !named);
    this.show(empty ?? this.#add());
  }

  show(session) {
    this.shown = session;
    writeTab(session.id);
    this.#tell("shown");
    this.#tell("list");
  }

  rename(session, name) {
    session.name = firstWords(name, 120);
    session.named = session.name !== "";
    this.save(session);
    this.#tell("list");
  }

  pin(session, pinned) {
    session.pinned = pinned;
    this.save(session);
    this.#tell("list");
  }

  hold(session, useCase) {
    session.held = useCase;
    this.save(session);
    this.#tell("list");
  }

  remove(session) {
    this.all = this.all.filter((other) => other !== session);
    clearTimeout(this.#late.get(session.id));
    this.#late.delete(session.id);
    this.#shelf.remove(session.id);
    if (this.shown === session) this.show(this.list[0] ?? this.#add());
    else this.#tell("list");
  }

  forgetAll() {
    for (const timer of this.#late.values()) clearTimeout(timer);
    this.#late.clear();
    this.all = [];
    this.#shelf.clear();
    this.show(this.#add());
  }

  addTurn(session, turn) {
    session.turns.push(turn);
    session.updated = turn.asked;
    if (!session.named && session.turns.length === 1) session.name = firstWords(turn.query, NAME_LENGTH);
    this.save(session);
    this.#tell("list");
    this.tellTurn(session, turn);
  }

  dropTurn(session, turn) {
    session.turns = session.turns.filter((other) => other !== turn);
    this.save(session);
    this.#tell("list");
    if (session === this.shown) this.#tell("shown");
  }

  /** Of what changes with every word, the last state is enough. */
  tellTurn(session, turn) {
    this.saveSoon(session);
    this.dispatchEvent(new CustomEvent("turn", { detail: { session, turn } }));
  }

  saveSoon(session) {
    if (this.#late.has(session.id)) return;
    this.#late.set(
      session.id,
      setTimeout(() => this.save(session), SAVE_AFTER_MS),
    );
  }

  save(session) {
    clearTimeout(this.#late.get(session.id));
    this.#late.delete(session.id);
    if (!this.all.includes(session) || isEmpty(session)) return;
    const kept = this.#shelf.save(session);
    if (kept !== "kept") this.#tell(kept === "full" ? "unkept" : "trimmed");
  }

  /** Before the page goes. */
  saveAll() {
    for (const session of this.all) if (this.#late.has(session.id)) this.save(session);
  }

  /** Another tab wrote, or removed, the entry *name*; what is under way here is not touched. */
  heardOfEntry(name) {
    if (name === null || !name.startsWith(PREFIX)) return;
    const id = name.slice(PREFIX.length);
    const mine = this.#find(id);
    const theirs = this.#shelf.one(id);
    if (mine?.turns.some(isUnderWay)) return;
    if (theirs && mine) Object.assign(mine, theirs, { draft: mine === this.shown ? mine.draft : theirs.draft });
    else if (theirs) this.all.push(theirs);
    else if (mine) return this.remove(mine);
    if (mine === this.shown) this.#tell("shown");
    this.#tell("list");
  }

  #find(id) {
    return this.all.find((session) => session.id === id);
  }

  #add() {
    const now = Date.now();
    const session = {
      id: newId(),
      name: "",
      named: false,
      pinned: false,
      held: "",
      created: now,
      updated: now,
      choice: "",
      draft: "",
      turns: [],
    };
    this.all.push(session);
    return session;
  }

  #tell(what) {
    this.dispatchEvent(new Event(what));
  }
}

/** A turn that has just been asked. *attachments* may hold files; what is written down of them is their names. */
export function newTurn(query, attachments, choice) {
  return {
    id: newId(),
    query,
    attachments,
    choice,
    asked: Date.now(),
    state: "waiting",
    text: "",
    decision: null,
    why: null,
    record: null,
    firstMs: null,
    totalMs: null,
    trouble: null,
    forgotten: false,
    note: "",
  };
}

export function isUnderWay({ state }) {
  return state === "waiting" || state === "streaming";
}

function isEmpty({ turns, draft, named }) {
  return turns.length === 0 && draft === "" && !named;
}

/** 128 bits; `randomUUID` is only there on secure origins. */
function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function readTab() {
  try {
    return sessionStorage.getItem(SHOWN);
  } catch {
    return null;
  }
}

function writeTab(id) {
  try {
    sessionStorage.setItem(SHOWN, id);
  } catch {
    // The latest is shown after a reload.
  }
}
