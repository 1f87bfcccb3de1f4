// POST /route as a stream: the decision first, then the words, then the record.
import { parsed, refused, send } from "./router_calls.js";
import { EventReader } from "./sse.js";
import { brokenOff, lostMidway, notTheRouter } from "./trouble.js";

/**
 * Asks; *heard* is told as it comes: decided(decision, why), waiting(comment), said(text). Gives the `done` record.
 *
 * Throws Trouble, and the AbortError of *signal*.
 */
export async function streamRoute(body, heard, signal) {
  const headers = { Accept: "text/event-stream, application/json", "X-Route-Debug": "1" };
  const response = await send("POST", "route", body, { signal, headers });
  if (!response.ok) throw refused(response, await readAll(response, signal));
  const type = response.headers.get("content-type") ?? "";
  if (!type.startsWith("text/event-stream")) return whole(response, await readAll(response, signal), heard);
  return follow(response, heard, signal);
}

async function readAll(response, signal) {
  try {
    return await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw lostMidway();
  }
}

/** A router that does not stream says everything at once. */
function whole(response, text, heard) {
  const record = parsed(response, text);
  if (typeof record.result !== "string")
    throw notTheRouter(response.status, response.headers.get("content-type") ?? "");
  heard.decided(record, whyOf(response));
  heard.said(record.result);
  return record;
}

async function follow(response, heard, signal) {
  const why = whyOf(response);
  let record = null;
  for await (const { event, data, comment } of events(response, signal)) {
    if (comment !== undefined) {
      if (comment) heard.waiting(comment);
    } else if (event === "error") {
      throw brokenOff(data);
    } else if (event === "route") {
      heard.decided(objectOf(data), why);
    } else if (event === "done") {
      record = objectOf(data);
    } else if (event === "message") {
      const { delta } = objectOf(data);
      if (typeof delta === "string" && delta) heard.said(delta);
    }
  }
  if (record === null) throw lostMidway();
  return record;
}

async function* events(response, signal) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new EventReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.feed(value);
    }
  } catch (error) {
    if (signal?.aborted) throw signal.reason ?? error;
    throw lostMidway();
  } finally {
    reader.cancel().catch(() => {}); // gone already
  }
}

function objectOf(data) {
  try {
    const found = JSON.parse(data);
    if (found !== null && typeof found === "object") return found;
  } catch {
    // Another version's event: what it would have said is missing, the rest is shown.
  }
  return {};
}

/** Scores and cues from the header, which holds JSON in UTF-8; browsers read headers as Latin-1. Null without one. */
function whyOf(response) {
  const told = response.headers.get("x-route-because");
  if (!told) return null;
  try {
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(told, (letter) => letter.charCodeAt(0))));
  } catch {
    return null;
  }
}
