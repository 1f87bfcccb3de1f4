// Keys that work wherever the focus is.
import { isAnyDialogOpen } from "./dialogs.js";

/** *escape* gives true where it did something. */
export function installShortcuts({ newSession, escape }) {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || isAnyDialogOpen()) return;
    if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      newSession();
    } else if (event.key === "Escape" && escape()) {
      event.preventDefault();
    }
  });
}
