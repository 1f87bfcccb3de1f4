// Asks turns, and keeps their state as the answers come.
import { routeBody, sizeOf } from "./request_body.js";
import { streamRoute } from "./route_stream.js";
import { isUnderWay } from "./sessions.js";
import { Trouble, tooLarge } from "./trouble.js";

export class Asking {
  #stops = new Map(); // turn id -> AbortController
  leaving = false; // the page goes: what breaks off now is no failure, and is read as interrupted next time

  constructor(sessions, preferences, about) {
    this.sessions = sessions;
    this.preferences = preferences;
    this.about = about;
  }

  body(session, turn, stream) {
    const { query, attachments, choice } = turn;
    return routeBody({ query, sessionId: session.id, attachments, choice, fields: this.preferences.fields, stream });
  }

  /** The Trouble that the router would have with *turn*, known before it is sent; else null. */
  objection(session, turn) {
    const { max_body_bytes: most, max_query_chars: letters, max_attachments: files } = this.about;
    const size = sizeOf(this.body(session, turn, true));
    if (size > most) return tooLarge(size, most);
    if ([...turn.query].length > letters) {
      return new Trouble(
        "text",
        `This message has ${[...turn.query].length} characters; the router takes ${letters}.`,
        "Shorten it, or attach a file.",
      );
    }
    if (turn.attachments.length > files) {
      return new Trouble(
        "files",
        `The router takes ${files} attachments at once; these are ${turn.attachments.length}.`,
        "Remove some.",
      );
    }
    return null;
  }

  /** Asks *turn*, which may have been asked before. Never throws: what goes wrong is part of the turn. */
  async ask(session, turn) {
    const stop = new AbortController();
    const began = performance.now();
    this.#stops.set(turn.id, stop);
    this.#change(session, turn, {
      state: "waiting",
      text: "",
      decision: null,
      why: null,
      record: null,
      firstMs: null,
      totalMs: null,
      trouble: null,
      note: "",
      forgotten: false,
      elsewhere: false,
    });
    const heard = this.#heard(session, turn, began);
    try {
      const record = await streamRoute(JSON.stringify(this.body(session, turn, true)), heard, stop.signal);
      this.#change(session, turn, { state: "done", record, totalMs: performance.now() - began });
    } catch (error) {
      if (this.leaving) return;
      const totalMs = performance.now() - began;
      if (stop.signal.aborted) this.#change(session, turn, { state: "stopped", totalMs });
      else this.#change(session, turn, { state: "failed", totalMs, trouble: troubleOf(error) });
    } finally {
      this.#stops.delete(turn.id);
      this.sessions.save(session);
    }
  }

  stop(session) {
    for (const turn of session.turns) this.#stops.get(turn.id)?.abort();
  }

  stopAll() {
    for (const stop of this.#stops.values()) stop.abort();
  }

  /** The page was left and is shown again: whose request ended meanwhile will not be heard of. */
  comeBack() {
    this.leaving = false;
    for (const session of this.sessions.all) {
      for (const turn of session.turns)
        if (isUnderWay(turn) && !this.#stops.has(turn.id)) this.#change(session, turn, { state: "interrupted" });
    }
  }

  isBusy(session) {
    return session.turns.some(isUnderWay);
  }

  #heard(session, turn, began) {
    return {
      decided: (decision, why) => {
        const known = session.turns.slice(0, session.turns.indexOf(turn)).some(({ state }) => state === "done");
        if (decision.new_session === true && session.held) this.sessions.hold(session, ""); // it was kept in one that is gone
        this.#change(session, turn, {
          state: "streaming",
          decision,
          why,
          forgotten: known && decision.new_session === true,
          note: "",
        });
      },
      waiting: (note) => this.#change(session, turn, { note }),
      said: (text) => {
        const firstMs = turn.firstMs ?? performance.now() - began;
        this.#change(session, turn, { state: "streaming", text: turn.text + text, firstMs });
      },
    };
  }

  #change(session, turn, changes) {
    Object.assign(turn, changes);
    this.sessions.tellTurn(session, turn);
  }
}

function troubleOf(error) {
  if (error instanceof Trouble)
    return { ...error.record, until: error.waitS === null ? null : Date.now() + error.waitS * 1000 };
  console.error(error);
  return {
    kind: "again",
    title: "This page made a mistake.",
    advice: "Reload it and ask again; the message is kept.",
    status: 0,
    code: "",
    requestId: "",
  };
}
