// Ends a session at the router, then here.
import { announce } from "./announcer.js";
import { confirmed } from "./dialogs.js";
import { notify } from "./notices.js";
import { ask } from "./router_calls.js";

export async function endSession(session, { sessions, asking, openKey, focus }) {
  const text = "The router forgets the conversation, and this browser its transcript.";
  if (!(await confirmed(`End “${session.name || "New session"}”?`, text, "End it"))) return;
  asking.stop(session);
  try {
    if (session.turns.length) await ask("DELETE", `sessions/${encodeURIComponent(session.id)}`);
  } catch (error) {
    if (error.kind !== "gone") return refused(session, error, { sessions, asking, openKey, focus });
  }
  sessions.remove(session);
  focus();
  announce("Session ended");
}

function refused(session, error, parts) {
  const actions = [
    { label: "Try again", run: () => endSession(session, parts) },
    { label: "Forget it here only", run: () => parts.sessions.remove(session) },
  ];
  if (error.kind === "key") actions.unshift({ label: "Enter the key", run: () => parts.openKey() });
  notify("ending", `The session was not ended. ${error.title}`, error.advice, actions);
}
