// Copies to the clipboard, and says so on the button.
import { announce } from "./announcer.js";
import { el, fill } from "./dom.js";
import { icon } from "./icons.js";

const SHOWN_MS = 1600;

/** *text* is a function, asked when the button is pressed. */
export function copyButton(text, label) {
  const button = el(
    "button",
    { type: "button", class: "quiet small", "aria-label": label, title: label },
    icon("copy"),
    "Copy",
  );
  button.addEventListener("click", async () => {
    const done = await copy(text());
    const told = done ? "Copied" : "Select and copy it by hand";
    fill(button, icon(done ? "check" : "alert"), told);
    announce(told);
    setTimeout(() => fill(button, icon("copy"), "Copy"), SHOWN_MS);
  });
  return button;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // not allowed, or the page is not on a secure origin
  }
}
