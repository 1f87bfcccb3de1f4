// Says to screen readers what others see happen; politely, and whole sentences only.
import { byId } from "./dom.js";

export function announce(text) {
  byId("announcer").textContent = text;
}
