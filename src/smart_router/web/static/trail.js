// What was decided about a turn, as badges: where it went and why above the answer, how long it took below.
import { reasonLabel } from "./explaining.js";
import { el } from "./dom.js";
import { count, duration, percent, shortModel } from "./format.js";
import { icon } from "./icons.js";
import { lineOf } from "./use_cases.js";

/** Of a `/route` decision or a `/classify` answer. *before*: the use case of the turn before, if any. */
export function decisionBadges(decision, before = null) {
  const {
    use_case: useCase,
    selected_model: model,
    bypass_used: bypassed,
    context_changed: changed,
    fallback_from: instead,
    confidence,
  } = decision;
  const badges = [
    badge("use-case", "use case", [el("span", { class: "dot", "aria-hidden": "true" }), useCase ?? "not said"]),
    badge("model", "model", [shortModel(typeof model === "string" ? model : "model not said")], model),
    badge("reason", "reason", [reasonLabel(decision), bypassed === true ? null : sureness(confidence)].filter(Boolean)),
    bypassed === true &&
      badge(
        "bypass",
        "",
        [icon("bolt"), "bypassed"],
        "The classifier was skipped: the session's standing choice was used again.",
      ),
    changed === true &&
      badge(
        "changed",
        "",
        [icon("fork"), before && before !== useCase ? `from ${before}` : "changed"],
        "The conversation changed to another use case.",
      ),
    typeof instead === "string" &&
      badge("instead", "", [`instead of ${shortModel(instead)}`], `${instead} should have answered and could not.`),
  ];
  return el("ul", { class: `trail ${lineOf(useCase)}`, "aria-label": "Decision" }, badges);
}

/** What took how long; the first word and, while there is no record, the total are as seen here. */
export function timeBadges({ decision, record, firstMs, totalMs }) {
  const total = record?.total_time ?? (totalMs === null ? undefined : totalMs / 1000);
  const tokens = record?.usage?.completion_tokens;
  const facts = [
    ["routing", duration((record ?? decision)?.routing_time), "Deciding, as the router measured it"],
    firstMs !== null && [
      "first word",
      duration(firstMs / 1000),
      "From sending to the first word, as seen in this browser",
    ],
    ["total", duration(total), record ? "The whole request, as the router measured it" : "As seen in this browser"],
    Number.isFinite(tokens) && tokens > 0 && ["tokens", count(tokens), "Of the answer"],
  ];
  const shown = facts
    .filter(Boolean)
    .map(([name, value, title]) =>
      el("li", { title }, el("span", { class: "fact-name" }, name), " ", el("span", { class: "fact" }, value)),
    );
  return el("ul", { class: "times", "aria-label": "Times" }, shown);
}

function sureness(confidence) {
  return el("span", { class: "sureness" }, el("span", { class: "sr" }, ", confidence "), percent(confidence));
}

function badge(kind, label, content, title = null) {
  return el("li", { class: `badge ${kind}`, title }, label && el("span", { class: "sr" }, `${label}: `), ...content);
}
