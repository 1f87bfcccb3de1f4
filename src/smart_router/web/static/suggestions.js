// What can be tried first, one of each kind.
import { el } from "./dom.js";
import { languageOf } from "./language.js";
import { lineOf, useCases } from "./use_cases.js";

const TRIED = [
  ["Write code", "Write a Python function that merges two sorted lists"],
  ["In any language", "दुकान के लिए दिवाली ऑफ़र का छोटा सा मैसेज लिख दो"],
  ["Look at a picture", "What is wrong in this screenshot?"],
  ["Hear a voice", "Read this aloud in a warm voice: good evening, and welcome"],
];

/** Each puts its words into the box; nothing is sent. */
export function suggestions(take) {
  return TRIED.map(([what, text]) =>
    el(
      "li",
      {},
      el(
        "button",
        { type: "button", class: "suggestion", on: { click: () => take(text) } },
        el("span", { class: "suggestion-kind" }, what),
        el("span", { dir: "auto", lang: languageOf(text) }, text),
      ),
    ),
  );
}

/** The use cases, each with the colour of its line. */
export function legend() {
  return useCases().map(({ id, description, available }) =>
    el(
      "li",
      { class: lineOf(id), title: description || null },
      el("span", { class: "dot", "aria-hidden": "true" }),
      available ? id : `${id} (no model up)`,
    ),
  );
}
