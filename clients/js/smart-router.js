/**
 * Ask a smart-router from Node (18 or later) or a browser. No dependencies.
 *
 *     import { Client } from "./smart-router.js";
 *
 *     const talk = new Client().session();
 *     console.log((await talk.route("Write a Python function to sort a list")).result);
 *     for await (const word of await talk.stream("Add error handling to that function")) {
 *       process.stdout.write(word);
 *     }
 *
 * Fields of queries and answers have the names that they have on the wire. All errors are `ClientError`s, and say what
 * to do; only who aborts a request by a signal of his own gets that signal's reason.
 */

export const VERSION = "0.1.0";
export const DEFAULT_URL = "http://localhost:8001";

// errors

/** All errors of this module. */
export class ClientError extends Error {
  get name() {
    return this.constructor.name;
  }
}

/** An address, a key, a file or an option cannot be sent as it is; nothing was sent. */
export class BadInput extends ClientError {}

/** Nobody answers at the address, or not in time. `asked`: the request may have been carried out. */
export class RouterUnreachable extends ClientError {
  /** @param {string} message @param {{asked?: boolean, cause?: unknown}} [more] */
  constructor(message, { asked = false, cause } = {}) {
    super(message, { cause });
    this.asked = asked;
  }
}

/** Something else answers at the address: another program, a proxy, or a router of a version too different. */
export class NotARouter extends RouterUnreachable {
  /** @param {string} message @param {{status?: number, retryAfterS?: number, cause?: unknown}} [more] */
  constructor(message, { status, retryAfterS, cause } = {}) {
    super(message, { asked: true, cause });
    this.status = status;
    this.retryAfterS = retryAfterS;
  }
}

/**
 * The router says no, and why: `status` (200 where a stream had begun, and ended with an error), `code` (such as
 * `rate_limited`; codes stay, messages may change), `said` (its words), `retryAfterS`, `requestId` (as in its log).
 */
export class RouterRefused extends ClientError {
  /**
   * @param {number} status @param {string} code @param {string} said
   * @param {{retryAfterS?: number, requestId?: string, advice?: string}} [more]
   */
  constructor(status, code, said, { retryAfterS, requestId, advice } = {}) {
    super(advice ? `${said}; ${advice}` : said);
    this.status = status;
    this.code = code;
    this.said = said;
    this.retryAfterS = retryAfterS;
    this.requestId = requestId;
  }
}

/** It has expired, was ended elsewhere, or belongs to another key. A new turn with its id begins it anew. */
export class UnknownSession extends RouterRefused {}

/** An answer ended before its end: `textSoFar` is what had come; `refusal` what the router said, where it said why. */
export class StreamBroken extends ClientError {
  /** @param {string} message @param {string} textSoFar @param {{refusal?: RouterRefused, cause?: unknown}} [more] */
  constructor(message, textSoFar, { refusal, cause } = {}) {
    super(message, { cause });
    this.textSoFar = textSoFar;
    this.refusal = refusal;
  }
}

// what is sent, and what comes back

/**
 * What may go along with a query; what is left out is up to the router.
 * @typedef {object} Fields
 * @property {string} [session_id] continue this session; without one, a session begins, and the answer names it
 * @property {Attachment[]} [attachments] images, recordings, films
 * @property {string} [use_case] an explicit choice; the query is not classified
 * @property {"text" | "image" | "audio" | "video"} [modality] a hint at what the query is about
 * @property {Record<string, unknown>} [context] `language`, `domain` and anything else
 * @property {number} [max_tokens] how long the answer may get; by default, 100 tokens
 * @property {number} [temperature] 0 to 2; by default 0.7
 * @property {boolean} [remember] false keeps this turn out of the session's conversation
 * @property {string} [user_id] whose query it is
 */

/**
 * Where a query goes, and why. Times in seconds.
 * @typedef {object} Decision
 * @property {string} use_case
 * @property {string} selected_model
 * @property {string} session_id
 * @property {number} [confidence] a probability
 * @property {string} [reason] explicit, modality, session, classified, switched, fallback or degraded
 * @property {boolean} [bypass_used] the session's standing choice was used again, without classifying
 * @property {boolean} [context_changed]
 * @property {boolean} [new_session]
 * @property {number} [routing_time]
 * @property {string} [request_id]
 * @property {string} [fallback_from] the model that should have answered, where another one does
 */

/**
 * @typedef {Decision & {
 *   result: string, inference_time?: number, total_time?: number, finish_reason?: string | null,
 *   usage?: {prompt_tokens: number, completion_tokens: number, total_tokens: number},
 * }} Answer
 */

/**
 * How a router would decide.
 * @typedef {object} Classification
 * @property {string} use_case
 * @property {string} selected_model
 * @property {number} [confidence]
 * @property {string} [reason]
 * @property {Record<string, number>} [scores] use case -> probability
 * @property {object} [because]
 */

/**
 * @typedef {object} SessionInfo
 * @property {string} session_id
 * @property {string} [use_case]
 * @property {string} [model_id]
 * @property {number} [request_count]
 * @property {string} [created_at] ISO 8601
 * @property {string} [last_accessed] ISO 8601
 * @property {boolean} [bypass_enabled]
 * @property {boolean} [pinned]
 */

/** @typedef {{sessions: SessionInfo[], next_cursor?: string | null}} SessionPage */
/** @typedef {{use_case?: string | null, bypass_enabled?: boolean}} SessionChanges `use_case`: pin it; null unpins it */
/** @typedef {typeof globalThis.fetch} Fetch */
/** @typedef {{signal?: AbortSignal}} Options `signal`: aborts the request, its pauses and its stream */

const FIELDS = [
  "session_id", "attachments", "use_case", "modality", "context", "max_tokens", "temperature", "remember", "user_id",
]; // prettier-ignore
/** Names of fields, each with the type that it must have. @typedef {Record<string, "string" | "object">} Needs */
/** @type {Needs} */
const DECIDED = { use_case: "string", selected_model: "string", session_id: "string" };
const KINDS = ["image", "audio", "video"];
const MOST_FILE_BYTES = 24_000_000; // in base64 it just fits into the 32 MiB that a router takes by default

/** By ending. @type {Record<string, string>} */
const MEDIA_TYPES = {
  png: "image/png", jpg: "image/jpeg", jpeg: "image/jpeg", gif: "image/gif", webp: "image/webp", bmp: "image/bmp",
  tif: "image/tiff", tiff: "image/tiff", avif: "image/avif", heic: "image/heic", wav: "audio/wav", mp3: "audio/mpeg",
  flac: "audio/flac", ogg: "audio/ogg", oga: "audio/ogg", opus: "audio/ogg", m4a: "audio/mp4", aac: "audio/aac",
  weba: "audio/webm", mp4: "video/mp4", m4v: "video/mp4", webm: "video/webm", mov: "video/quicktime",
  mkv: "video/x-matroska", avi: "video/x-msvideo", mpeg: "video/mpeg", mpg: "video/mpeg",
}; // prettier-ignore

/** An image, a recording or a film: a link to it, or its bytes in base64. Made by the `from…` functions. */
export class Attachment {
  /** @param {{type: string, url?: string, data?: string, media_type?: string}} fields */
  constructor(fields) {
    Object.assign(this, fields);
    Object.freeze(this);
  }

  /**
   * A file's bytes; in Node.
   * @param {string} path
   * @param {{mediaType?: string, mostBytes?: number}} [options] `mediaType`: by default what its ending says
   * @returns {Promise<Attachment>}
   */
  static async fromFile(path, { mediaType, mostBytes = MOST_FILE_BYTES } = {}) {
    const type = mediaType ?? MEDIA_TYPES[String(path).toLowerCase().split(".").pop() ?? ""];
    if (!type) {
      const known = Object.keys(MEDIA_TYPES).join(", ");
      throw new BadInput(`${path}: is no image, recording or film by its ending; give mediaType, or one of ${known}`);
    }
    const files = await import("node:fs/promises");
    let bytes;
    try {
      const { size } = await files.stat(path);
      if (size > mostBytes) throw tooLarge(path, size, mostBytes);
      bytes = await files.readFile(path);
    } catch (cause) {
      if (cause instanceof ClientError) throw cause;
      throw new BadInput(`${path}: cannot be read: ${message(cause)}`, { cause });
    }
    return attached(path, bytes, type);
  }

  /**
   * What a browser's file field, recorder or drop gives.
   * @param {Blob} blob
   * @param {{mediaType?: string, mostBytes?: number}} [options] `mediaType`: by default its own
   * @returns {Promise<Attachment>}
   */
  static async fromBlob(blob, { mediaType, mostBytes = MOST_FILE_BYTES } = {}) {
    const place = "name" in blob ? String(blob.name) : "the file";
    if (blob.size > mostBytes) throw tooLarge(place, blob.size, mostBytes);
    // A recorder's type goes on with its codecs.
    const type = mediaType ?? blob.type.split(";")[0].trim();
    return attached(place, new Uint8Array(await blob.arrayBuffer()), type);
  }

  /** @param {Uint8Array} bytes @param {string} mediaType such as `image/png` */
  static fromBytes(bytes, mediaType) {
    return attached("data", bytes, mediaType);
  }

  /**
   * A link, which the model server fetches.
   * @param {string} url @param {"image" | "audio" | "video"} type
   */
  static fromUrl(url, type) {
    if (!KINDS.includes(type)) {
      throw new BadInput(`type: ${JSON.stringify(type)} cannot be attached; it can be ${KINDS.join(", ")}`);
    }
    if (!/^(https?:\/\/[^\s/]|data:)/.test(url)) {
      throw new BadInput(`url: ${JSON.stringify(String(url).slice(0, 100))} is no http:// or https:// address`);
    }
    return new Attachment({ type, url });
  }
}

/** @param {string} place @param {number} size @param {number} most */
const tooLarge = (place, size, most) =>
  new BadInput(`${place}: has ${size} bytes, at most ${most} can be sent; shrink it, or send a link`);

/** @param {string} place @param {Uint8Array} bytes @param {string} mediaType */
function attached(place, bytes, mediaType) {
  if (!/^(image|audio|video)\/[A-Za-z0-9.+-]{1,90}$/.test(mediaType)) {
    const type = JSON.stringify(mediaType);
    throw new BadInput(`${place}: its type ${type} cannot be attached; it begins with image/, audio/ or video/`);
  }
  if (bytes.length === 0) throw new BadInput(`${place}: is empty; attach a file with something in it`);
  return new Attachment({ type: mediaType.split("/")[0], data: base64(bytes), media_type: mediaType });
}

/** @param {Uint8Array} bytes */
function base64(bytes) {
  const pieces = [];
  for (let at = 0; at < bytes.length; at += 24_573) {
    // a multiple of 3, and few enough to be arguments
    pieces.push(btoa(String.fromCharCode(...bytes.subarray(at, at + 24_573))));
  }
  return pieces.join("");
}

// whether something is asked again, and when

const FIRST_S = 0.5;
const MOST_S = 8;
const LONGEST_S = 60; // that a router may ask for; who is to wait longer is better told

/**
 * Seconds until the next attempt, or null: not again.
 *
 * Who refused the connection, or said "later" (429, 503), is asked again; so is who lost it, if asking twice does no
 * harm. It gets the time that it asks for, and a little more, so that not all come back at once; else the pauses grow,
 * and are drawn from all up to their length.
 *
 * @param {unknown} error
 * @param {{retry: number, leftS: number, repeatable: boolean, draw: number}} at `retry`: the how manieth, from 0;
 *   `leftS`: until the deadline; `draw`: 0 to 1, at random
 * @returns {number | null}
 */
export function pauseS(error, { retry, leftS, repeatable, draw }) {
  const refused = error instanceof RouterRefused || error instanceof NotARouter;
  const unheard = error instanceof RouterUnreachable && (!error.asked || repeatable);
  if (refused ? error.status !== 429 && error.status !== 503 : !unheard) return null;
  const askedFor = refused ? error.retryAfterS : undefined;
  const pause = askedFor === undefined ? draw * Math.min(MOST_S, FIRST_S * 2 ** retry) : askedFor + draw * FIRST_S;
  return (askedFor ?? 0) > LONGEST_S || pause >= leftS ? null : pause;
}

/** Of a header: seconds, or a date. @param {string | null} value @param {number} nowMs */
function retryAfterS(value, nowMs) {
  if (value === null) return undefined;
  if (/^\s*[0-9]+\s*$/.test(value)) return Number(value);
  const date = /[a-z]/i.test(value) ? Date.parse(value) : NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, (date - nowMs) / 1000);
}

// server-sent events

const MOST_EVENT = 8 * 1024 * 1024; // characters
const MOST_ANSWER_BYTES = 64 * 1024 * 1024; // of a stream: characters

/** Parses events as they arrive: any split of the bytes gives the same. Comments are dropped. */
class EventParser {
  #decoder = new TextDecoder("utf-8", { fatal: true });
  #rest = "";
  /** @type {string[]} */ #data = [];
  #name = "";
  #held = 0;

  /** @param {Uint8Array} bytes @returns {{name: string, data: string}[]} */
  feed(bytes) {
    const text = this.#rest + this.#decoder.decode(bytes, { stream: true });
    const whole = text.endsWith("\r") ? text.length - 1 : text.length; // its line feed may be under way
    const lines = text.slice(0, whole).split(/\r\n|\n|\r/);
    this.#rest = lines.pop() + text.slice(whole);
    if (this.#rest.length + this.#held > MOST_EVENT) throw new Error("an event without an end");
    return lines.flatMap((line) => this.#line(line));
  }

  /** @param {string} line */
  #line(line) {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") {
      this.#data.push(value);
      this.#held += value.length + 1;
    } else if (field === "event") {
      this.#name = value;
    }
    return [];
  }

  #dispatch() {
    const event = { name: this.#name || "message", data: this.#data.join("\n") };
    const complete = this.#data.length > 0;
    [this.#data, this.#name, this.#held] = [[], "", 0];
    return complete ? [event] : [];
  }
}

// asking

/**
 * One request. `repeatable`: asked twice, it does what it does once. `needs`: what its answer must hold.
 * @typedef {{method: string, path: string, body?: object, repeatable: boolean, streams?: boolean, needs?: Needs}} Call
 */

/** A connection's worth of waiting: aborts by the deadline, and when its caller wants to. */
class Attempt {
  #controller = new AbortController();
  #caller;
  #abort;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  /** @type {(reason: unknown) => void} */ #giveUp = () => {};
  late = false;

  /** @param {AbortSignal | undefined} caller */
  constructor(caller) {
    this.#caller = caller;
    this.#abort = () => this.#controller.abort(caller?.reason);
    caller?.addEventListener("abort", this.#abort, { once: true });
    if (caller?.aborted) this.#abort();
    this.signal.addEventListener("abort", () => this.#giveUp(this.signal.reason), { once: true });
  }

  get signal() {
    return this.#controller.signal;
  }

  /** From now on. @param {number} ms */
  within(ms) {
    this.rest();
    this.#timer = setTimeout(
      () => {
        this.late = true;
        this.#controller.abort();
      },
      Math.max(1, ms),
    );
  }

  /**
   * What is waited for, one at a time, or the end: not every platform tells a reader that its request was aborted.
   * @template T
   * @param {Promise<T>} awaited
   * @returns {Promise<T>}
   */
  orEnd(awaited) {
    return new Promise((resolve, reject) => {
      this.#giveUp = reject;
      awaited.then(resolve, reject);
      if (this.signal.aborted) reject(this.signal.reason);
    });
  }

  /** For as long as it likes. */
  rest() {
    clearTimeout(this.#timer);
  }

  /** Its caller's reason, if that is why it ended. */
  throwIfUnwanted() {
    this.#caller?.throwIfAborted();
  }

  /** Whatever is under way ends. */
  end() {
    this.rest();
    this.#caller?.removeEventListener("abort", this.#abort);
    this.#controller.abort();
  }
}

class Http {
  /** @param {{url?: string, key?: string, timeoutMs?: number, retries?: number, fetch?: Fetch}} options */
  constructor({ url, key, timeoutMs = 180_000, retries = 2, fetch = globalThis.fetch } = {}) {
    const environment = globalThis.process?.env ?? {};
    const origin = /^https?:/.test(globalThis.location?.origin ?? "") ? globalThis.location.origin : undefined;
    this.url = checkedUrl(url || environment.SMART_ROUTER_URL || origin || DEFAULT_URL);
    this.key = checkedKey(key || environment.API_KEY);
    if (!(timeoutMs > 0 && timeoutMs < 2 ** 31)) {
      throw new BadInput(`timeoutMs: ${timeoutMs} is no time to wait; give milliseconds, more than 0`);
    }
    if (!(retries >= 0)) throw new BadInput(`retries: ${retries} is no number of times; give 0 or more`);
    this.timeoutMs = timeoutMs;
    this.retries = retries;
    this.fetch = fetch;
  }

  /** @param {Call} call @param {Options} [options] @returns {Promise<any>} */
  async ask(call, options) {
    const { attempt, response } = await this.open(call, options);
    try {
      return this.#read(call, await this.#body(attempt, response));
    } finally {
      attempt.end();
    }
  }

  /**
   * An answer that has begun, for the caller to read and end.
   * @param {Call} call @param {Options} [options]
   */
  async open(call, { signal } = {}) {
    const ends = performance.now() + this.timeoutMs;
    for (let retry = 0; ; retry += 1) {
      const attempt = new Attempt(signal);
      let pause;
      try {
        attempt.throwIfUnwanted();
        attempt.within(ends - performance.now());
        return { attempt, response: await this.#attempt(call, attempt) };
      } catch (error) {
        attempt.end();
        const leftS = (ends - performance.now()) / 1000;
        const at = { retry, leftS, repeatable: call.repeatable, draw: Math.random() };
        pause = retry < this.retries ? pauseS(error, at) : null;
        if (pause === null) throw error;
      }
      await pausing(pause * 1000, signal);
    }
  }

  /** @param {Call} call @param {Attempt} attempt */
  async #attempt(call, attempt) {
    /** @type {Record<string, string>} */
    const headers = { Accept: call.streams ? "text/event-stream" : "application/json" };
    if (call.body) headers["Content-Type"] = "application/json";
    if (this.key) headers.Authorization = `Bearer ${this.key}`;
    let response;
    try {
      response = await this.fetch.call(globalThis, this.url + call.path, {
        method: call.method,
        headers,
        body: call.body && sendable(call.body),
        redirect: "manual",
        cache: "no-store",
        credentials: "omit",
        signal: attempt.signal,
      });
    } catch (error) {
      if (error instanceof ClientError) throw error;
      attempt.throwIfUnwanted();
      throw attempt.late ? this.#late() : this.#unreachable(error);
    }
    if (!response.ok) throw this.#refusal(response, await this.#body(attempt, response));
    const form = response.headers.get("content-type")?.split(";")[0].trim() ?? "no type";
    if (call.streams && form !== "text/event-stream") {
      const instead = `${this.url} answered ${form} where a stream of events was asked for`;
      throw new NotARouter(`${instead}; ${IS_IT}`, { status: 200 });
    }
    return response;
  }

  /** @param {Attempt} attempt @param {Response} response */
  async #body(attempt, response) {
    const pieces = [];
    let size = 0;
    const reader = response.body?.getReader();
    try {
      for (let next; reader && !(next = await attempt.orEnd(reader.read())).done;) {
        pieces.push(next.value);
        size += next.value.length;
        if (size > MOST_ANSWER_BYTES) {
          throw new NotARouter(`${this.url} answered more than ${MOST_ANSWER_BYTES} bytes; ${IS_IT}`);
        }
      }
    } catch (cause) {
      if (cause instanceof ClientError) throw cause;
      attempt.throwIfUnwanted();
      if (attempt.late) throw this.#late();
      throw new StreamBroken(`the answer of ${this.url} broke off (${reasonOf(cause)}); ask again`, "", { cause });
    }
    const whole = new Uint8Array(size);
    pieces.reduce((at, piece) => (whole.set(piece, at), at + piece.length), 0);
    return new TextDecoder().decode(whole);
  }

  /** @param {Call} call @param {string} body */
  #read(call, body) {
    let said;
    try {
      said = JSON.parse(body);
    } catch (cause) {
      throw new NotARouter(`${this.url}${call.path} answered without JSON; ${IS_IT}`, { status: 200, cause });
    }
    return this.checked(call, said, call.needs ?? {});
  }

  /** @param {Call} call @param {any} said @param {Needs} needs @returns {any} */
  checked(call, said, needs) {
    const lacks = Object.entries(needs).filter(([name, type]) => typeof said?.[name] !== type || said[name] === null);
    if (lacks.length > 0) throw this.misunderstood(call, `no ${lacks.map(([name]) => name).join(", ")}`);
    return said;
  }

  /** @param {Call} call @param {string} why */
  misunderstood(call, why) {
    return new NotARouter(
      `${this.url}${call.path} answered what this client (version ${VERSION}) does not understand (${why}): it is no ` +
        "smart-router, or one of another version; use the client of that version",
      { status: 200 },
    );
  }

  /** @param {Response} response @param {string} body */
  #refusal(response, body) {
    const wait = retryAfterS(response.headers.get("retry-after"), Date.now());
    const said = objectOf(body);
    const inner = typeof said.error === "object" && said.error ? said.error : {};
    const words = text(said.error_message) ?? text(inner.message);
    const code = text(said.error_code) ?? text(inner.code);
    if (words === undefined || code === undefined) return this.#foreign(response, wait);
    const requestId = text(said.request_id) ?? response.headers.get("x-request-id") ?? undefined;
    return this.refused(response.status, code, words, wait, requestId);
  }

  /**
   * @param {number} status @param {string} code @param {string} said @param {number} [retryAfterS]
   * @param {string} [requestId]
   */
  refused(status, code, said, retryAfterS, requestId) {
    const kind = code === "unknown_session" ? UnknownSession : RouterRefused;
    return new kind(status, code, said, { retryAfterS, requestId, advice: this.#advice(status, code, retryAfterS) });
  }

  /** @param {number} status @param {string} code @param {number} [wait] */
  #advice(status, code, wait) {
    if (status === 401 && !this.key) return "give a key, or set API_KEY";
    if (status === 401) return "the key given (or API_KEY) is not one of this router's";
    if (code === "not_found" || code === "method_not_allowed") {
      return `the router at ${this.url} may be older than this client (version ${VERSION})`;
    }
    return wait === undefined ? "" : `try again in ${wait} s`;
  }

  /** @param {Response} response @param {number} [wait] */
  #foreign(response, wait) {
    const { status, type } = response;
    const more = { status, retryAfterS: wait };
    if (type === "opaqueredirect" || (status >= 300 && status < 400)) {
      const there = response.headers.get("location") ?? "another address";
      return new NotARouter(`${this.url} leads on to ${there.slice(0, 200)}; give the router's own address`, more);
    }
    const form = response.headers.get("content-type")?.split(";")[0] || "no type";
    const answered = `${this.url} answered ${status} with ${form}, which no smart-router does`;
    if (status === 401 || status === 407) {
      return new NotARouter(`${answered}; a proxy in front of it may want a login`, more);
    }
    if ([502, 503, 504].includes(status)) {
      const advice = "a proxy in front of it may find no router: start one, or try again shortly";
      return new NotARouter(`${answered}; ${advice}`, more);
    }
    return new NotARouter(`${answered}; ${IS_IT}`, more);
  }

  #late() {
    const within = `${this.url} did not answer within ${this.timeoutMs / 1000} s`;
    return new RouterUnreachable(`${within}; ask again, or give it longer with timeoutMs`, { asked: true });
  }

  /** @param {unknown} cause */
  #unreachable(cause) {
    const code = codeOf(cause);
    const start = "start one with `smart-router serve`, or give the address of one that runs";
    if (NOT_ASKED.includes(code)) {
      return new RouterUnreachable(`there is no router at ${this.url} (${code}); ${start}`, { cause });
    }
    if (code.startsWith("HPE_")) {
      const foreign = `${this.url} answered something that is no HTTP (${code})`;
      return new NotARouter(`${foreign}; is that a router's port?`, { cause });
    }
    if (code) {
      const advice = "it may or may not have been asked, so see before you ask again";
      const closed = `${this.url} closed the connection without an answer (${code})`;
      return new RouterUnreachable(`${closed}; ${advice}`, { asked: true, cause });
    }
    // A browser does not say which.
    const cors = "or it does not let this page ask (its CORS_ORIGINS must name the page's origin)";
    return new RouterUnreachable(`there is no router at ${this.url}, ${cors}; ${start}`, { asked: true, cause });
  }
}

const IS_IT = "is that a smart-router's address?";
const NOT_ASKED = ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "UND_ERR_CONNECT_TIMEOUT"];

/** @param {string} url */
function checkedUrl(url) {
  const trimmed = url.trim().replace(/\/+$/, "");
  if (/^[^:]*:\/\/[^/]*@/.test(trimmed)) {
    // No browser sends it, and every message would tell it.
    throw new BadInput("url: has a user name or a password in it; leave them out, and give the router's key as key");
  }
  let parts;
  try {
    parts = new URL(trimmed);
  } catch {
    parts = undefined;
  }
  if (!parts || !/^https?:$/.test(parts.protocol) || !/^https?:\/\/[^\s/]+/.test(trimmed) || /\s/.test(trimmed)) {
    throw new BadInput(`url: ${JSON.stringify(url)} is no address of a router; give one such as ${DEFAULT_URL}`);
  }
  if (parts.search || parts.hash) {
    throw new BadInput(`url: ${JSON.stringify(url)} has more to it than an address; leave out what follows ? or #`);
  }
  return trimmed;
}

/** @param {string | undefined} key */
function checkedKey(key) {
  const trimmed = key?.trim() || undefined;
  if (trimmed && !/^[\x21-\x7e]+$/.test(trimmed)) {
    throw new BadInput("key: has characters in it that no header can carry; give it as it was made");
  }
  return trimmed;
}

/** @param {object} body */
function sendable(body) {
  try {
    return JSON.stringify(body);
  } catch (cause) {
    throw new BadInput(`the query: cannot be sent as JSON: ${message(cause)}`, { cause });
  }
}

/** @param {number} ms @param {AbortSignal} [signal] @returns {Promise<void>} */
function pausing(ms, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
    if (signal?.aborted) stop();
  });
}

/** @param {string} body @returns {any} */
function objectOf(body) {
  try {
    return JSON.parse(body) ?? {};
  } catch {
    return {};
  }
}

/** @param {unknown} value */
const text = (value) => (typeof value === "string" ? value : undefined);
/** @param {unknown} error */
const message = (error) => (error instanceof Error ? error.message : String(error));
/** As Node's `fetch` tells it, one or two errors deep. @param {any} error @returns {string} */
const codeOf = (error) => error?.cause?.code ?? error?.cause?.errors?.[0]?.code ?? error?.code ?? "";
/** @param {unknown} error */
const reasonOf = (error) => (typeof codeOf(error) === "string" && codeOf(error)) || message(error);

// the client

/** @type {Record<string, Call>} */
const CALLS = {
  useCases: { method: "GET", path: "/use-cases", repeatable: true, needs: { use_cases: "object" } },
  models: { method: "GET", path: "/v1/models", repeatable: true, needs: { data: "object" } },
  stats: { method: "GET", path: "/stats", repeatable: true },
  health: { method: "GET", path: "/health", repeatable: true, needs: { status: "string" } },
};

/** @param {string} query @param {Fields} fields @param {object} [more] */
function asking(query, fields, more) {
  const unknown = Object.keys(fields).filter((name) => !FIELDS.includes(name));
  if (unknown.length > 0) {
    throw new BadInput(`${unknown.join(", ")}: no such option; there are ${FIELDS.join(", ")}`);
  }
  const given = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null);
  return { query, ...Object.fromEntries(given), ...more };
}

/** @param {string} query @param {Fields} fields @returns {Call} */
const routing = (query, fields) => {
  const body = asking(query, fields);
  return { method: "POST", path: "/route", body, repeatable: false, needs: { ...DECIDED, result: "string" } };
};

/** @param {string} query @param {Fields} fields @returns {Call} */
const streaming = (query, fields) => {
  const body = asking(query, fields, { stream: true });
  return { method: "POST", path: "/route", body, repeatable: false, streams: true };
};

/** @param {string} query @param {Fields} fields @returns {Call} */
const classifying = (query, fields) => {
  const body = asking(query, fields);
  /** @type {Needs} */
  const needs = { use_case: "string", selected_model: "string" };
  return { method: "POST", path: "/classify", body, repeatable: true, needs };
};

/** @param {string} method @param {string} id @param {object} [body] @returns {Call} */
function session(method, id, body) {
  if (!id || id === "." || id === "..") {
    throw new BadInput(`session: ${JSON.stringify(id)} is no id; give that of an answer`);
  }
  /** @type {Needs} */
  const needs = method === "DELETE" ? {} : { session_id: "string" };
  return { method, path: `/sessions/${encodeURIComponent(id)}`, body, repeatable: method !== "DELETE", needs };
}

/**
 * A router. Requests are tried again, after growing pauses, where the connection is refused, and where the router or
 * what stands in front of it answers 429 or 503, after the time that it asks for; never once a byte of an answer came.
 */
export class Client {
  #http;

  /**
   * @param {object} [options]
   * @param {string} [options.url] the router's address; by default `SMART_ROUTER_URL` in Node, the page's own origin in
   *   a browser, else `http://localhost:8001`
   * @param {string} [options.key] a key to it, where it wants one; by default `API_KEY` in Node
   * @param {number} [options.timeoutMs] how long an answer may take with all attempts and pauses, by default 180 000;
   *   how long a stream may be silent
   * @param {number} [options.retries] how often something is tried again, by default 2
   * @param {Fetch} [options.fetch] instead of the platform's
   */
  constructor(options = {}) {
    this.#http = new Http(options);
  }

  /** The router's address. */
  get url() {
    return this.#http.url;
  }

  /**
   * Have a query answered by the model that it needs.
   * @param {string} query @param {Fields} [fields] @param {Options} [options]
   * @returns {Promise<Answer>}
   */
  async route(query, fields = {}, options) {
    return this.#http.ask(routing(query, fields), options);
  }

  /**
   * Have it answered word by word. Iterate the stream, or close it.
   * @param {string} query @param {Fields} [fields] @param {Options} [options]
   * @returns {Promise<RouteStream>} once its decision is known
   */
  async stream(query, fields = {}, options) {
    return RouteStream.open(this.#http, streaming(query, fields), options);
  }

  /**
   * How the router would decide; nothing is asked or remembered.
   * @param {string} query @param {Fields} [fields] @param {Options} [options]
   * @returns {Promise<Classification>}
   */
  async classify(query, fields = {}, options) {
    return this.#http.ask(classifying(query, fields), options);
  }

  /** A conversation: the session of this id gone on with, or a new one. @param {string} [id] */
  session(id) {
    return new Conversation(this.#http, id);
  }

  /**
   * The caller's own sessions, a page at a time.
   * @param {{cursor?: string | null, limit?: number}} [page] @param {Options} [options]
   * @returns {Promise<SessionPage>}
   */
  async sessions({ cursor, limit = 50 } = {}, options) {
    const at = cursor ? `&cursor=${encodeURIComponent(cursor)}` : "";
    const path = `/sessions?limit=${encodeURIComponent(limit)}${at}`;
    return this.#http.ask({ method: "GET", path, repeatable: true, needs: { sessions: "object" } }, options);
  }

  /** What is kept of a session. @param {string} id @param {Options} [options] @returns {Promise<SessionInfo>} */
  async sessionInfo(id, options) {
    return this.#http.ask(session("GET", id), options);
  }

  /**
   * Change how a session is decided on.
   * @param {string} id @param {SessionChanges} changes @param {Options} [options]
   * @returns {Promise<SessionInfo>}
   */
  async updateSession(id, changes, options) {
    return this.#http.ask(session("PATCH", id, changes), options);
  }

  /** Have a session and its conversation forgotten. @param {string} id @param {Options} [options] */
  async endSession(id, options) {
    await this.#http.ask(session("DELETE", id), options);
  }

  /** What can be routed to. @param {Options} [options] @returns {Promise<any[]>} */
  async useCases(options) {
    return (await this.#http.ask(CALLS.useCases, options)).use_cases;
  }

  /** What an OpenAI client may name as `model`. @param {Options} [options] @returns {Promise<any[]>} */
  async models(options) {
    return (await this.#http.ask(CALLS.models, options)).data;
  }

  /** Counts and averages. @param {Options} [options] @returns {Promise<any>} */
  async stats(options) {
    return this.#http.ask(CALLS.stats, options);
  }

  /** The state of every part. @param {Options} [options] @returns {Promise<any>} */
  async health(options) {
    return this.#http.ask(CALLS.health, options);
  }

  /**
   * Any other request: what has no method here.
   * @param {string} method @param {string} path @param {object} [body] @param {Options} [options]
   * @returns {Promise<any>} the JSON of the answer
   */
  async call(method, path, body, options) {
    if (!/^\/[\x21-\x7e]*$/.test(path)) {
      throw new BadInput(`path: ${JSON.stringify(path)} is none of a router; it begins with / and is quoted`);
    }
    const repeatable = ["GET", "HEAD"].includes(method.toUpperCase());
    return this.#http.ask({ method: method.toUpperCase(), path, body, repeatable }, options);
  }
}

/** An answer as it comes: `for await (const word of stream)`. */
export class RouteStream {
  #http;
  #call;
  #attempt;
  #reader;
  #parser = new EventParser();
  /** @type {string[]} */ #waiting = [];
  /** @type {Decision | undefined} */ #decision;
  /** @type {Answer | undefined} */ #answer;
  /** @type {Error | undefined} */ #failure;
  #over = false; // no more bytes are of interest
  #closed = false; // nor words
  #text = "";

  /** @param {Http} http @param {Call} call @param {Attempt} attempt @param {ReadableStreamDefaultReader} reader */
  constructor(http, call, attempt, reader) {
    this.#http = http;
    this.#call = call;
    this.#attempt = attempt;
    this.#reader = reader;
  }

  /** @param {Http} http @param {Call} call @param {Options} [options] */
  static async open(http, call, options) {
    const { attempt, response } = await http.open(call, options);
    const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
    const stream = new RouteStream(http, call, attempt, reader);
    while (stream.#decision === undefined) {
      if (stream.#failure) {
        stream.close();
        throw stream.#failure;
      }
      await stream.#more();
    }
    return stream;
  }

  /** Where the query went. @returns {Decision} */
  get decision() {
    return /** @type {Decision} */ (this.#decision);
  }

  /** The whole answer with its times and tokens, after the last word. */
  get answer() {
    return this.#waiting.length > 0 ? undefined : this.#answer;
  }

  /** What has come so far. */
  get text() {
    return this.#text;
  }

  /** Close the connection; if the answer was not complete, the router stops the model. */
  close() {
    this.#closed = true;
    this.#reader.cancel().catch(() => {});
    this.#attempt.end();
  }

  async *[Symbol.asyncIterator]() {
    try {
      while (!this.#closed) {
        this.#attempt.throwIfUnwanted();
        if (this.#waiting.length > 0) yield /** @type {string} */ (this.#waiting.shift());
        else if (this.#failure) throw this.#failure;
        else if (this.#over) return;
        else await this.#more();
      }
    } finally {
      this.close();
    }
  }

  async #more() {
    try {
      this.#attempt.within(this.#http.timeoutMs);
      const { done, value } = await this.#attempt.orEnd(this.#reader.read());
      if (done) this.#end("the connection was closed");
      else this.#feed(value);
    } catch (cause) {
      try {
        this.#attempt.throwIfUnwanted();
      } catch (reason) {
        this.#fail(/** @type {Error} */ (reason));
      }
      const silent = `it said nothing for ${this.#http.timeoutMs / 1000} s`;
      this.#end(this.#attempt.late ? silent : `the connection was lost: ${reasonOf(cause)}`, cause);
    } finally {
      this.#attempt.rest();
    }
  }

  /** @param {Uint8Array} bytes */
  #feed(bytes) {
    let events;
    try {
      events = this.#parser.feed(bytes);
    } catch (cause) {
      this.#fail(this.#broken(message(cause), { cause }));
      return;
    }
    for (const { name, data } of events) {
      if (this.#answer || this.#failure) return; // whatever follows is nobody's
      try {
        this.#take(name, data);
      } catch (error) {
        this.#fail(error instanceof ClientError ? error : this.#http.misunderstood(this.#call, message(error)));
      }
    }
  }

  /** Events that only a later version knows are skipped. @param {string} name @param {string} data */
  #take(name, data) {
    if (name === "route") {
      this.#decision = this.#http.checked(this.#call, JSON.parse(data), DECIDED);
    } else if (name === "message") {
      const { delta } = this.#http.checked(this.#call, JSON.parse(data), { delta: "string" });
      if (!this.#decision) throw new Error("words before the decision");
      if (this.#text.length + delta.length > MOST_ANSWER_BYTES) {
        throw this.#broken(`more than ${MOST_ANSWER_BYTES} characters, which no router's answer has`, {});
      }
      this.#text += delta;
      this.#waiting.push(delta);
    } else if (name === "done") {
      this.#answer = { ...this.#http.checked(this.#call, JSON.parse(data), DECIDED), result: this.#text };
    } else if (name === "error") {
      const said = this.#http.checked(this.#call, JSON.parse(data), { error_message: "string", error_code: "string" });
      const refusal = this.#http.refused(200, said.error_code, said.error_message, undefined, said.request_id);
      throw this.#decision ? this.#broken(`the router says: ${said.error_message}`, { refusal }) : refusal;
    }
  }

  /** @param {string} why @param {unknown} [cause] */
  #end(why, cause) {
    this.#over = true;
    if (!this.#answer) this.#fail(this.#broken(why, { cause }));
  }

  /** @param {Error} failure */
  #fail(failure) {
    this.#over = true;
    this.#failure ??= failure;
  }

  /** @param {string} why @param {{refusal?: RouterRefused, cause?: unknown}} more */
  #broken(why, more) {
    const length = `after ${this.#text.length} characters, which are kept in textSoFar`;
    const came = this.#text ? length : "before its first word";
    return new StreamBroken(`the answer broke off ${came} (${why}); ask again`, this.#text, more);
  }
}

/**
 * A session, gone on with turn by turn: its id is remembered from the first answer. `beganAnew`: with the last answer
 * the session began anew, as it had expired, or was ended elsewhere: the model has not seen what was said before.
 */
export class Conversation {
  #http;

  /** @param {Http} http @param {string} [id] */
  constructor(http, id) {
    this.#http = http;
    this.id = id;
    this.turns = 0;
    this.beganAnew = false;
  }

  /**
   * The next turn; as `Client.route`. Nothing is lost by an error: the same turn can be tried again.
   * @param {string} query @param {Fields} [fields] @param {Options} [options]
   * @returns {Promise<Answer>}
   */
  async route(query, fields = {}, options) {
    const answer = await this.#http.ask(routing(query, this.#with(fields)), options);
    this.#learn(answer);
    return answer;
  }

  /**
   * The next turn word by word; as `Client.stream`.
   * @param {string} query @param {Fields} [fields] @param {Options} [options]
   */
  async stream(query, fields = {}, options) {
    const stream = await RouteStream.open(this.#http, streaming(query, this.#with(fields)), options);
    this.#learn(stream.decision);
    return stream;
  }

  /**
   * How the router would decide on a next turn.
   * @param {string} query @param {Fields} [fields] @param {Options} [options]
   * @returns {Promise<Classification>}
   */
  async classify(query, fields = {}, options) {
    return this.#http.ask(classifying(query, this.#with(fields)), options);
  }

  /** What the router keeps of it. @param {Options} [options] @returns {Promise<SessionInfo>} */
  async info(options) {
    return this.#http.ask(session("GET", this.#known()), options);
  }

  /**
   * As `Client.updateSession`.
   * @param {SessionChanges} changes @param {Options} [options]
   * @returns {Promise<SessionInfo>}
   */
  async update(changes, options) {
    return this.#http.ask(session("PATCH", this.#known(), changes), options);
  }

  /** Have it forgotten. That it was over already, or never begun, is no error. @param {Options} [options] */
  async end(options) {
    try {
      if (this.id !== undefined) await this.#http.ask(session("DELETE", this.id), options);
    } catch (error) {
      if (!(error instanceof UnknownSession)) throw error;
    }
    [this.id, this.turns, this.beganAnew] = [undefined, 0, false];
  }

  /** @param {Fields} fields @returns {Fields} */
  #with(fields) {
    if ("session_id" in fields) {
      throw new BadInput("session_id: a conversation has its own; leave it out, or use another conversation");
    }
    return { ...fields, session_id: this.id };
  }

  #known() {
    if (this.id === undefined) {
      throw new BadInput("this conversation has no session yet; it begins with the first answer");
    }
    return this.id;
  }

  /** @param {Decision} decision */
  #learn(decision) {
    this.beganAnew = Boolean(decision.new_session) && this.turns > 0;
    this.id = decision.session_id;
    this.turns += 1;
  }
}
