// What went wrong, in sentences: what happened, and what to do. Pure.

/**
 * *kind* names what can be done about it: key | wait | again | files | text | choice | gone.
 * *title* says what happened, *advice* what to do.
 */
export class Trouble extends Error {
  constructor(kind, title, advice = "", { status = 0, code = "", requestId = "", waitS = null } = {}) {
    super(advice ? `${title} ${advice}` : title);
    this.name = "Trouble";
    Object.assign(this, { kind, title, advice, status, code, requestId, waitS });
  }

  /** What may be written down. */
  get record() {
    const { kind, title, advice, status, code, requestId } = this;
    return { kind, title, advice, status, code, requestId };
  }
}

export function unreachable(address) {
  return new Trouble(
    "again",
    `No answer from ${address}.`,
    "The router may be stopped, or the connection is down. Your message is kept: start the router " +
      "(smart-router serve) or check the connection, then try again.",
  );
}

export function lostMidway() {
  return new Trouble(
    "again",
    "The connection was lost in the middle of the answer.",
    "What had arrived is shown. Ask again to have it whole.",
  );
}

export function notTheRouter(status, contentType) {
  const what = contentType.includes("html") ? "a web page" : contentType || "no type";
  return new Trouble(
    "again",
    `Something other than the router answered (HTTP ${status}, ${what}).`,
    "It is probably a proxy in between: try again shortly, or ask whoever runs it.",
    { status },
  );
}

export function tooLarge(size, most) {
  return new Trouble(
    "files",
    `This message would be ${inMegabytes(size)}; the router takes ${inMegabytes(most)}.`,
    "Remove an attachment, use a smaller file, or attach it by its address on the web.",
    { status: 413 },
  );
}

/**
 * A refusal: *body* as text, *header* a function name -> value or null; *keyGiven*: a key was sent along.
 */
export function refusal(status, body, header, keyGiven) {
  const said = readError(body);
  const contentType = header("content-type") ?? "";
  if (said === null) {
    if (status === 413) return tooLargeSomewhere();
    return notTheRouter(status, contentType);
  }
  const facts = { status, code: said.code, requestId: said.requestId, waitS: seconds(header("retry-after")) };
  const told = sentence(said.message);
  if (status === 401 && !keyGiven)
    return new Trouble("key", "This router asks for a key.", "Enter it, then try again.", facts);
  if (status === 401) {
    return new Trouble(
      "key",
      "The router does not know this key.",
      "Check it for missing characters and enter it again.",
      facts,
    );
  }
  if (status === 403 && said.code === "policy_refused")
    return new Trouble("text", "A rule of this router is against it.", told, facts);
  if (status === 403) return new Trouble("key", "This key is not allowed to do that.", told, facts);
  if (status === 404)
    return new Trouble(
      said.code.includes("use_case") ? "choice" : "gone",
      "The router does not know that.",
      told,
      facts,
    );
  if (status === 413) return new Trouble("files", "This is more than the router takes.", told, facts);
  if (status === 429) return new Trouble("wait", "Too many requests for now.", told, facts);
  if (said.code === "store_unavailable")
    return new Trouble("wait", "The router cannot look up its sessions right now.", told, facts);
  if (status === 503) return new Trouble("wait", "No model can answer right now.", told, facts);
  if (status === 504) return new Trouble("again", "The model was too slow.", told, facts);
  if (said.code === "internal_error")
    return new Trouble("again", "Something went wrong in the router itself.", told, facts);
  if (status >= 500) return new Trouble("again", "The model server failed.", told, facts);
  return new Trouble("text", "The router did not take this message.", told, facts);
}

/** The `error` event of a stream that had begun. */
export function brokenOff(data) {
  const said = readError(data) ?? { message: "the router said nothing more", code: "", requestId: "" };
  const facts = { code: said.code, requestId: said.requestId };
  return new Trouble("again", "The answer broke off.", `${sentence(said.message)} What had arrived is shown.`, facts);
}

export function silentRefusal(status) {
  return new Trouble("again", `The router answered with HTTP ${status}.`, "Try again shortly.", { status });
}

function tooLargeSomewhere() {
  return new Trouble(
    "files",
    "Something between this page and the router refused the message as too large (HTTP 413).",
    "Remove an attachment, or attach it by its address on the web.",
    { status: 413 },
  );
}

function readError(body) {
  let found;
  try {
    found = JSON.parse(body);
  } catch {
    return null;
  }
  if (found === null || typeof found !== "object") return null;
  const inner = typeof found.error === "object" && found.error !== null ? found.error : {};
  const message = found.error_message ?? inner.message ?? found.detail ?? found.message;
  if (typeof message !== "string") return null;
  return { message, code: String(found.error_code ?? inner.code ?? ""), requestId: String(found.request_id ?? "") };
}

function sentence(text) {
  const whole = text.trim();
  if (!whole) return "";
  const begun = /^[a-z][a-z]* /.test(whole) ? whole[0].toUpperCase() + whole.slice(1) : whole;
  return /[.!?।]$/.test(begun) ? begun : `${begun}.`;
}

/** Seconds of a Retry-After; at most an hour, null where there is none that can be read. */
function seconds(given) {
  if (given === null || given === undefined || given === "") return null;
  const counted = /^\d+$/.test(given) ? Number(given) : (Date.parse(given) - Date.now()) / 1000;
  return Number.isFinite(counted) ? Math.min(3600, Math.max(1, Math.ceil(counted))) : null;
}

function inMegabytes(bytes) {
  const megabytes = bytes / (1024 * 1024);
  return megabytes >= 10 ? `${Math.round(megabytes)} MB` : `${megabytes.toFixed(1)} MB`;
}
