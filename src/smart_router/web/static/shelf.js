// Sessions in a browser's storage, one entry each; never a key, never a file's bytes. Pure but for the storage.

export const PREFIX = "smart-router/session/";
export const MOST_SESSIONS = 100;
export const MOST_TURNS = 200; // of each, the latest
export const MOST_CHARACTERS = 200_000; // of an answer
const VERSION = 1;

export class Shelf {
  /** *storage*: localStorage, or anything like it; null where a browser keeps nothing. */
  constructor(storage) {
    this.storage = storage;
  }

  /** What is kept, the latest first, and how many entries were damaged and dropped. */
  load() {
    const sessions = [];
    let damaged = 0;
    for (const name of this.#names()) {
      const session = this.#read(name);
      if (session) {
        sessions.push(session);
      } else {
        damaged += 1;
        this.#remove(name);
      }
    }
    sessions.sort((a, b) => b.updated - a.updated);
    return { sessions, damaged };
  }

  /** "kept"; "trimmed" where older sessions had to go for it, if they may; "full" where it is not kept. */
  save(session, makesRoom = true) {
    if (!this.storage) return "full";
    const text = JSON.stringify({ version: VERSION, ...written(session) });
    const trimmed = this.#trim(session.id);
    if (this.#write(PREFIX + session.id, text)) return trimmed ? "trimmed" : "kept";
    return makesRoom && this.#makeRoom(session.id, text) ? "trimmed" : "full";
  }

  remove(id) {
    this.#remove(PREFIX + id);
  }

  clear() {
    for (const name of this.#names()) this.#remove(name);
  }

  one(id) {
    return this.#read(PREFIX + id);
  }

  /** The oldest go; where even that is not enough, they come back. */
  #makeRoom(id, text) {
    const gone = [];
    for (const name of this.#expendable(id)) {
      gone.push([name, this.storage.getItem(name)]);
      this.#remove(name);
      if (this.#write(PREFIX + id, text)) return true;
    }
    for (const [name, kept] of gone) this.#write(name, kept);
    return false;
  }

  #names() {
    try {
      return Object.keys(this.storage ?? {}).filter((name) => name.startsWith(PREFIX));
    } catch {
      return [];
    }
  }

  #read(name) {
    try {
      return readSession(JSON.parse(this.storage.getItem(name)), name.slice(PREFIX.length));
    } catch {
      return null;
    }
  }

  #write(name, text) {
    try {
      this.storage.setItem(name, text);
      return true;
    } catch {
      return false; // the quota
    }
  }

  #remove(name) {
    try {
      this.storage.removeItem(name);
    } catch {
      // Nothing can be done, and nothing is lost.
    }
  }

  #trim(id) {
    if (this.storage.getItem(PREFIX + id) !== null) return false;
    const surplus = this.#names().length + 1 - MOST_SESSIONS;
    if (surplus <= 0) return false;
    for (const name of this.#expendable(id).slice(0, surplus)) this.#remove(name);
    return true;
  }

  /** The oldest first, and those that are pinned last of all. */
  #expendable(id) {
    const others = this.#names()
      .filter((name) => name !== PREFIX + id)
      .map((name) => [name, this.#read(name)]);
    others.sort(
      ([, a], [, b]) =>
        Number(a?.pinned ?? false) - Number(b?.pinned ?? false) || (a?.updated ?? 0) - (b?.updated ?? 0),
    );
    return others.map(([name]) => name);
  }
}

function written({ id, name, named, pinned, held, created, updated, choice, draft, turns }) {
  return {
    id,
    name,
    named,
    pinned,
    held,
    created,
    updated,
    choice,
    draft,
    turns: turns.slice(-MOST_TURNS).map(writtenTurn),
  };
}

function writtenTurn({
  id,
  query,
  attachments,
  choice,
  asked,
  state,
  text,
  decision,
  why,
  record,
  firstMs,
  totalMs,
  trouble,
  forgotten,
}) {
  const kept = attachments.map(({ kind, name, size, url }) => ({ kind, name, size, url }));
  const said = text.slice(0, MOST_CHARACTERS);
  return {
    id,
    query,
    attachments: kept,
    choice,
    asked,
    state,
    text: said,
    decision,
    why,
    record,
    firstMs,
    totalMs,
    trouble,
    forgotten,
  };
}

/** A session as it was written, with every field of its right type; null if it is not one. */
export function readSession(found, id) {
  if (!isObject(found) || found.version !== VERSION || found.id !== id || !Array.isArray(found.turns)) return null;
  const turns = found.turns.map(readTurn);
  if (turns.includes(null)) return null;
  return {
    id,
    name: text(found.name),
    named: found.named === true,
    pinned: found.pinned === true,
    held: text(found.held),
    created: number(found.created),
    updated: number(found.updated),
    choice: text(found.choice),
    draft: text(found.draft),
    turns: turns.slice(-MOST_TURNS),
  };
}

/** An answer that was under way when it was written down did not come to its end. */
function readTurn(found) {
  if (
    !isObject(found) ||
    typeof found.id !== "string" ||
    typeof found.query !== "string" ||
    typeof found.text !== "string"
  )
    return null;
  const state = STATES.includes(found.state) ? found.state : "interrupted";
  return {
    id: found.id,
    query: found.query,
    attachments: (Array.isArray(found.attachments) ? found.attachments : []).filter(isObject).map(readAttachment),
    choice: text(found.choice),
    asked: number(found.asked),
    state,
    text: found.text,
    decision: objectOrNull(found.decision),
    why: objectOrNull(found.why),
    record: objectOrNull(found.record),
    firstMs: numberOrNull(found.firstMs),
    totalMs: numberOrNull(found.totalMs),
    trouble: objectOrNull(found.trouble),
    forgotten: found.forgotten === true,
    elsewhere: found.state === "waiting" || found.state === "streaming", // or it was: another tab may have ended
  };
}

const STATES = ["done", "stopped", "interrupted", "failed"];

function readAttachment(found) {
  const kind = ["image", "audio", "video"].includes(found.kind) ? found.kind : "image";
  return {
    kind,
    name: text(found.name),
    size: numberOrNull(found.size),
    url: typeof found.url === "string" ? found.url : null,
  };
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const objectOrNull = (value) => (isObject(value) ? value : null);
const text = (value) => (typeof value === "string" ? value : "");
const number = (value) => (Number.isFinite(value) ? value : 0);
const numberOrNull = (value) => (Number.isFinite(value) ? value : null);
