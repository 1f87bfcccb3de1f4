// The settings: how long and how free answers are, what they remember, how the page looks, and forgetting all.
import { byId, say } from "./dom.js";
import { confirmed, openDialog } from "./dialogs.js";
import { setTheme, theme } from "./theme.js";

const MOST_TOKENS = 131_072;

export function installSettings({ preferences, about, forgetAll, openKey, themed }) {
  const tokens = byId("max-tokens");
  const temperature = byId("temperature");
  const remember = byId("remember");

  const show = () => {
    tokens.value = preferences.get("maxTokens") ?? "";
    tokens.placeholder = String(about.max_tokens);
    temperature.value = preferences.get("temperature") ?? about.temperature;
    remember.checked = preferences.get("remember");
    for (const radio of document.querySelectorAll("[name=theme]")) radio.checked = radio.value === theme();
    say(byId("temperature-value"), told(preferences.get("temperature"), about.temperature));
    say(byId("tokens-error"), "");
  };
  tokens.addEventListener("input", () => {
    const given = tokens.value.trim();
    const number = Number(given);
    const wrong = given !== "" && !(Number.isInteger(number) && number >= 1 && number <= MOST_TOKENS);
    say(
      byId("tokens-error"),
      wrong ? `A whole number from 1 to ${MOST_TOKENS}, or nothing for the router's own ${about.max_tokens}.` : "",
    );
    tokens.setAttribute("aria-invalid", String(wrong));
    if (!wrong) preferences.set("maxTokens", given === "" ? null : number);
  });
  temperature.addEventListener("input", () => {
    const chosen = Number(temperature.value);
    preferences.set("temperature", chosen === about.temperature ? null : chosen);
    say(byId("temperature-value"), told(preferences.get("temperature"), about.temperature));
  });
  remember.addEventListener("change", () => preferences.set("remember", remember.checked));
  for (const radio of document.querySelectorAll("[name=theme]")) {
    radio.addEventListener("change", () => {
      setTheme(radio.value);
      themed();
    });
  }
  byId("settings-key").addEventListener("click", () => {
    byId("settings-dialog").close();
    openKey();
  });
  byId("forget-all").addEventListener("click", async () => {
    byId("settings-dialog").close();
    const text =
      "All names and transcripts in this browser go, and cannot be had back. " +
      "The router keeps its sessions until they expire.";
    if (await confirmed("Forget everything in this browser?", text, "Forget everything")) forgetAll();
  });
  say(byId("version"), about.version ? `smart-router ${about.version}` : "smart-router");
  return () => {
    show();
    openDialog("settings-dialog");
  };
}

function told(chosen, usual) {
  return chosen === null ? `${usual} (the router's own)` : String(chosen);
}
