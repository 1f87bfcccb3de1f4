// An attachment, small, with its preview: before it is sent, and within the message that it came with.
import { el } from "./dom.js";
import { fileSize } from "./format.js";
import { icon } from "./icons.js";

/** *remove*: called by its button; without, there is none. */
export function attachmentChip(attachment, remove = null) {
  const { kind, name, size, url } = attachment;
  const where = url ? hostOf(url) : size === null ? "" : fileSize(size);
  const words = el(
    "span",
    { class: "chip-words" },
    el("span", { class: "chip-name" }, name || kind),
    el("span", { class: "chip-fact" }, `${kind}${where ? ` · ${where}` : ""}`),
  );
  const drop =
    remove &&
    el(
      "button",
      { type: "button", class: "quiet icon-only", "aria-label": `Remove ${name}`, on: { click: remove } },
      icon("close"),
    );
  return el("li", { class: `chip ${kind}` }, preview(attachment), words, player(attachment), drop);
}

function preview({ kind, preview: shown }) {
  if (kind === "image" && shown) return el("img", { src: shown, alt: "", class: "thumb" });
  if (kind === "video" && shown)
    return el("video", { src: shown, class: "thumb", muted: true, preload: "metadata", "aria-hidden": "true" });
  return el("span", { class: "thumb" }, icon(kind));
}

function player({ kind, preview: shown, name }) {
  if (kind !== "audio" || !shown) return null;
  return el("audio", { src: shown, controls: true, preload: "metadata", "aria-label": `Listen to ${name}` });
}

function hostOf(url) {
  try {
    return new URL(url).host;
  } catch {
    return "";
  }
}
