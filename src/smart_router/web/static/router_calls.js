// Calls to the router that this page came from; what fails is a Trouble.
import { hasKey, keyHeaders } from "./access_key.js";
import { notTheRouter, refusal, silentRefusal, unreachable } from "./trouble.js";

const WITHIN_MS = 15_000; // for everything but answers of models

/**
 * The response, whatever its status.
 *
 * Throws Trouble where none came; the AbortError of *signal* as it is.
 */
export async function send(method, path, body, { signal, headers = {} } = {}) {
  const told = { Accept: "application/json", ...keyHeaders(), ...headers };
  if (body !== undefined) told["Content-Type"] = "application/json";
  try {
    return await fetch(new URL(path, document.baseURI), {
      method,
      headers: told,
      body,
      signal,
      cache: "no-store",
      redirect: "error",
    });
  } catch (error) {
    if (signal?.aborted) throw signal.reason ?? error;
    throw unreachable(location.host);
  }
}

/** The JSON of an answer that must be well. Throws Trouble. */
export async function ask(method, path, body) {
  const signal = AbortSignal.timeout(WITHIN_MS);
  let response;
  let text;
  try {
    response = await send(method, path, body === undefined ? undefined : JSON.stringify(body), { signal });
    text = await response.text();
  } catch (error) {
    throw signal.aborted ? unreachable(location.host) : error;
  }
  if (!response.ok) throw refused(response, text);
  return parsed(response, text);
}

/** The Trouble that a *response* with the body *text* stands for. */
export function refused(response, text) {
  if (!text.trim()) return silentRefusal(response.status);
  return refusal(response.status, text, (name) => response.headers.get(name), hasKey());
}

export function parsed(response, text) {
  try {
    const found = JSON.parse(text);
    if (found !== null && typeof found === "object") return found;
  } catch {
    // Said below.
  }
  throw notTheRouter(response.status, response.headers.get("content-type") ?? "");
}
