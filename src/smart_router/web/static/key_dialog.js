// Asks for the router's key.
import { hasKey, isSendable, setKey } from "./access_key.js";
import { byId, say } from "./dom.js";
import { openDialog } from "./dialogs.js";

/** *changed* is called after a key was entered or forgotten. Gives a function that opens the dialog. */
export function installKeyDialog(changed) {
  const box = byId("key");
  const dialog = byId("key-dialog");
  let then = null;
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!isSendable(box.value)) {
      say(byId("key-error"), "A key is one word of letters, digits and signs. Copy it again, without spaces.");
      return box.focus();
    }
    setKey(box.value);
    leave();
    then?.();
  });
  byId("key-forget").addEventListener("click", () => {
    setKey("");
    leave();
  });
  function leave() {
    box.value = "";
    dialog.close();
    changed();
  }
  return (afterwards = null) => {
    then = afterwards;
    say(byId("key-error"), "");
    box.value = "";
    byId("key-forget").hidden = !hasKey();
    openDialog("key-dialog");
    box.focus();
  };
}
