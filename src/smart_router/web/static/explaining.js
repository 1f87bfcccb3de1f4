// A decision in sentences. Pure.
import { percent } from "./format.js";

const REASONS = {
  explicit: "chosen",
  modality: "by attachment",
  session: "follow-up",
  classified: "classified",
  switched: "switched",
  fallback: "default",
  degraded: "by words alone",
};

/** The reason in a word or two; one that this page does not know, as it is. */
export function reasonLabel({ reason }) {
  return typeof reason === "string" ? (REASONS[reason] ?? reason) : "no reason given";
}

/** One sentence: why this use case. */
export function because(decision, why) {
  const { use_case: useCase = "this use case", reason, confidence, bypass_used: bypassed } = decision;
  const sure = percent(confidence);
  switch (reason) {
    case "explicit":
      return `You chose ${useCase}.`;
    case "modality":
      return `What came with the message decided: ${hintOf(why) || "its attachment"}.`;
    case "session":
      return bypassed
        ? `This session was with ${useCase} already and nothing in the words led elsewhere: the classifier was skipped.`
        : `The words were classified again, and the session stays with ${useCase} (${sure}).`;
    case "classified":
      return `The classifier read the words and was ${sure} sure of ${useCase}.`;
    case "switched":
      return `The words led away from where this session was, to ${useCase} (${sure}).`;
    case "fallback":
      return `No use case was likely enough (${sure} at most), so the default answers.`;
    case "degraded":
      return `The encoder is out of order; ${useCase} was chosen by words alone (${sure}).`;
    default:
      return "The router did not say why. It may be of another version.";
  }
}

/** Whatever else was known: short sentences, or nothing. */
export function further({ reason }, why) {
  const told = why?.because ?? {};
  const found = [];
  if (told.session_prior) found.push(`Before this turn the session was with ${told.session_prior}.`);
  if (hintOf(why) && reason !== "modality") found.push(`It came with: ${hintOf(why)}.`);
  if (told.conflict) found.push(`The text asks for ${told.conflict}, which does not take what came with it.`);
  if (told.note) found.push(`${told.note[0].toUpperCase()}${told.note.slice(1)}.`);
  return found.join(" ");
}

const WORTH_A_BAR = 0.01;
const MOST_BARS = 8;

/** Name and probability of those that are worth a bar, the likeliest first. */
export function ranked(scores) {
  const entries = sorted(scores);
  return entries.filter(([, score], i) => i === 0 || score >= WORTH_A_BAR).slice(0, MOST_BARS);
}

/** The names of the others. */
export function unlikely(scores) {
  return sorted(scores)
    .slice(1)
    .filter(([, score]) => score < WORTH_A_BAR)
    .map(([name]) => name);
}

function sorted(scores) {
  const entries = Object.entries(scores ?? {}).filter(([, score]) => Number.isFinite(score));
  return entries.sort(([, a], [, b]) => b - a);
}

function hintOf(why) {
  const hint = why?.because?.hint;
  return Array.isArray(hint) ? hint.join(", ") : "";
}
