// What this router says of itself before anybody has a key: its limits and defaults.
import { ask } from "./router_calls.js";

const DEFAULTS = {
  version: "",
  key_needed: false,
  max_body_bytes: 32 * 1024 * 1024,
  max_query_chars: 32_768,
  max_attachments: 8,
  max_tokens: 100,
  temperature: 0.7,
};

/** Where it says nothing, or no sense, the defaults of a router. */
export async function readAbout() {
  let found = {};
  try {
    found = await ask("GET", "ui/about.json");
  } catch {
    // An older router: asking will show what it is.
  }
  return Object.fromEntries(
    Object.entries(DEFAULTS).map(([name, usual]) => [name, typeof found[name] === typeof usual ? found[name] : usual]),
  );
}
