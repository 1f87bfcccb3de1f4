// The sessions of this page: which there are, which is shown, and what is kept of them.
import { firstWords } from "./format.js";
import { MOST_TURNS, PREFIX, Shelf } from "./shelf.js";

const SHOWN = "smart-router/shown"; // in this tab's own storage: each tab shows its own
const SAVE_AFTER_MS = 400;
const NAME_LENGTH = 48;

/** Events: `list` (names, order), `shown` (another session), `turn` (detail: {session, turn}), `unkept`, `trimmed`. */
export class Sessions extends EventTarget {
  #shelf;
  #late = new Map(); // session id -> timer of a save that waits
  #unkept = new Set(); // ids of those for which there is no room, as has been told

  constructor(storage) {
    super();
    this.#shelf = new Shelf(storage);
    const { sessions, damaged } = this.#shelf.load();
    for (const { turns } of sessions) for (const turn of turns) turn.elsewhere = false; // who knows? If so, it will be heard of
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
    this.#tellOf(session, turn);
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
    if (!this.all.includes(session)) return;
    if (isEmpty(session)) return this.#shelf.remove(session.id); // what was erased is not kept
    const known = this.#unkept.has(session.id); // room is not looked for again with every word
    const kept = this.#shelf.save(session, !known);
    if (kept === "full") this.#unkept.add(session.id);
    else this.#unkept.delete(session.id);
    if (kept !== "kept" && !known) this.#tell(kept === "full" ? "unkept" : "trimmed");
  }

  /** Before the page goes: nobody is left to end what is under way. */
  saveAll() {
    for (const session of this.all) {
      if (!session.turns.some(isUnderWay)) {
        if (this.#late.has(session.id)) this.save(session);
        continue;
      }
      const turns = session.turns.map((turn) => (isUnderWay(turn) ? { ...turn, state: "interrupted" } : turn));
      this.#shelf.save({ ...session, turns }, false);
    }
  }

  /** Another tab wrote, or removed, the entry *name*; what is under way, or being typed, here is not touched. */
  heardOfEntry(name) {
    if (name === null || !name.startsWith(PREFIX)) return;
    const id = name.slice(PREFIX.length);
    const mine = this.#find(id);
    const theirs = this.#shelf.one(id);
    if (theirs && mine) this.#join(mine, theirs);
    else if (theirs) this.all.push(theirs);
    else if (mine && !mine.turns.some(isUnderWay)) return this.#dropped(mine);
    this.#tell("list");
  }

  /** A turn is changed only where the other tab knows more of it: neither may have the other's latest words. */
  #join(mine, theirs) {
    const isShown = mine === this.shown;
    const told = new Map(theirs.turns.map((turn) => [turn.id, turn]));
    const turns = mine.turns.filter(
      (turn) => told.has(turn.id) || !canBeDropped(turn) || theirs.turns.length >= MOST_TURNS,
    );
    const isLess = turns.length < mine.turns.length;
    const known = new Map(turns.map((turn) => [turn.id, turn]));
    const changed = theirs.turns.filter((turn) => knowsMore(turn, known.get(turn.id)));
    for (const turn of changed) {
      const before = known.get(turn.id);
      if (before) Object.assign(before, turn, { attachments: before.attachments });
      else turns.push(turn);
    }
    const { draft, choice } = isShown ? mine : theirs;
    Object.assign(mine, theirs, { turns, draft, choice });
    if (isShown && isLess) this.#tell("shown");
    else
      for (const { id } of changed)
        this.#tellOf(
          mine,
          turns.find((turn) => turn.id === id),
        );
  }

  /** By another tab. What is being typed here goes on in a session of its own. */
  #dropped(session) {
    if (session === this.shown && session.draft) {
      const next = this.#add();
      next.draft = session.draft;
      this.show(next);
      this.saveSoon(next);
    }
    this.remove(session);
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

  #tellOf(session, turn) {
    this.dispatchEvent(new CustomEvent("turn", { detail: { session, turn } }));
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
    elsewhere: false,
  };
}

export function isUnderWay({ state }) {
  return state === "waiting" || state === "streaming";
}

/** Those that can be taken back into the box. */
function canBeDropped(turn) {
  return !isUnderWay(turn) && turn.state !== "done";
}

/** *theirs*, as another tab wrote it, against *mine*, if there is one. */
function knowsMore(theirs, mine) {
  if (!mine) return true;
  if (isUnderWay(mine) || (mine.state === "done" && theirs.state === "interrupted")) return false;
  return ["state", "text", "totalMs", "elsewhere"].some((name) => theirs[name] !== mine[name]);
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
