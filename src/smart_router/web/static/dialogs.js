// The page's dialogs: each closes by its own button, by Escape, and by a click beside it.
import { byId } from "./dom.js";

export function installDialogs() {
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    for (const button of dialog.querySelectorAll("[data-close]"))
      button.addEventListener("click", () => dialog.close());
  }
}

export function openDialog(id) {
  const dialog = byId(id);
  if (!dialog.open) dialog.showModal();
}

/** Resolves with true where the user confirms. */
export function confirmed(title, text, action) {
  const dialog = byId("confirm-dialog");
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  byId("confirm-action").textContent = action;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }),
  );
}

export function isAnyDialogOpen() {
  return document.querySelector("dialog[open]") !== null;
}
