// Keeps a session on one use case, for every client that goes on with it, or lets the router choose again.
import { announce } from "./announcer.js";
import { notify } from "./notices.js";
import { ask } from "./router_calls.js";

/** *useCase*: "" lets the router choose. */
export async function holdSession(session, useCase, { sessions, openKey }) {
  let found;
  try {
    found = await ask("PATCH", `sessions/${encodeURIComponent(session.id)}`, { use_case: useCase || null });
  } catch (error) {
    const actions = error.kind === "key" ? [{ label: "Enter the key", run: () => openKey() }] : [];
    notify("holding", ...inWords(error), actions);
    return;
  }
  sessions.hold(session, found.pinned === true && typeof found.use_case === "string" ? found.use_case : "");
  announce(session.held ? `Kept on ${session.held}` : "The router chooses again");
}

function inWords(error) {
  if (error.status === 405)
    return [
      "This router is older than that: it cannot keep a session on a use case.",
      "Choose the use case beside the message box instead.",
    ];
  if (error.kind === "gone")
    return [
      "The router no longer has this session.",
      "It expired or was ended elsewhere; ask something first, then keep it.",
    ];
  return [error.title, error.advice];
}
