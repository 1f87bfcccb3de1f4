// Why a turn went where it went: the scores as bars, what the guard saw, and the session's lanes.
import { el, fill } from "./dom.js";
import { because, further, ranked, unlikely } from "./explaining.js";
import { percent } from "./format.js";
import { ask } from "./router_calls.js";
import { lineOf } from "./use_cases.js";

/** The explanation, as far as it is known without asking. */
export function explanation(decision, why) {
  return el(
    "div",
    { class: "why" },
    el("p", { class: "because" }, because(decision, why)),
    bars("Scores", why?.scores, "Probability of each use case, by the classifier"),
    bars("Guard cues", why?.because?.guard_cues, "What the quick look at the words saw, before any classifier"),
    further(decision, why) && el("p", { class: "further" }, further(decision, why)),
    why === null && el("p", { class: "further" }, "The router told no more about this decision."),
  );
}

/** A button, and the panel that it opens; the lanes are asked for each time. */
export function whyDisclosure(turn, sessionId) {
  const panel = el("div", { class: "why-panel", id: `why-${turn.id}`, hidden: true });
  const button = el(
    "button",
    { type: "button", class: "quiet small opens", "aria-expanded": "false", "aria-controls": panel.id },
    "Why this route?",
  );
  button.addEventListener("click", async () => {
    panel.hidden = !panel.hidden;
    button.setAttribute("aria-expanded", String(!panel.hidden));
    if (panel.hidden) return;
    const explained = explanation(turn.decision, turn.why);
    fill(panel, explained);
    const told = await lanes(sessionId);
    if (!panel.contains(explained)) return; // it was closed and opened again meanwhile
    panel.append(told);
    panel.scrollIntoView({ block: "nearest" });
  });
  return [button, panel];
}

async function lanes(sessionId) {
  let found;
  try {
    found = await ask("GET", `sessions/${encodeURIComponent(sessionId)}`);
  } catch (error) {
    const why =
      error.kind === "gone"
        ? "The router no longer has this session, so its lanes are not known."
        : `Its lanes could not be asked for. ${error.advice}`;
    return el("p", { class: "further" }, why);
  }
  const entries = Object.entries(found.lanes ?? {});
  const rows = entries.map(([group, lane]) =>
    el(
      "li",
      { class: lineOf(lane?.use_case) },
      el("span", { class: "dot", "aria-hidden": "true" }),
      el("span", { class: "lane-name" }, group),
      el("span", {}, `${lane?.use_case ?? "?"} on ${lane?.model_id ?? "?"}`),
      el("span", { class: "lane-where" }, `warm at ${lane?.endpoint ?? "?"}`),
    ),
  );
  return el(
    "section",
    { class: "bars" },
    el(
      "p",
      { class: "bars-title", title: "Where this session's cache is warm, per group of model servers" },
      "Lanes, as they are now",
    ),
    el("ul", { class: "lanes" }, rows),
  );
}

function bars(title, scores, meaning) {
  const rows = ranked(scores);
  if (!rows.length) return null;
  const others = unlikely(scores);
  return el(
    "section",
    { class: "bars" },
    el("p", { class: "bars-title", title: meaning }, title),
    el("ul", {}, rows.map(bar)),
    others.length > 0 && el("p", { class: "below" }, `below 1\u00a0%: ${others.join(", ")}`),
  );
}

function bar([name, score]) {
  const filled = el("span", { class: "bar-filled" });
  filled.style.setProperty("--share", String(Math.max(0, Math.min(1, score))));
  return el(
    "li",
    { class: `bar ${lineOf(name)}` },
    el("span", { class: "bar-name" }, name),
    el("span", { class: "bar-track", "aria-hidden": "true" }, filled),
    el("span", { class: "bar-value" }, percent(score)),
  );
}
