// The page's table of contents: makes each part, and connects it to the others.
import { readAbout } from "./about.js";
import { Asking } from "./asking.js";
import { installAttaching } from "./attaching.js";
import { Composer } from "./composer.js";
import { byId, fill, say } from "./dom.js";
import { installDialogs } from "./dialogs.js";
import { Drawers } from "./drawers.js";
import { endSession } from "./ending.js";
import { drawIcons } from "./fixed_icons.js";
import { holdSession } from "./holding.js";
import { installKeyDialog } from "./key_dialog.js";
import { LivePanel } from "./live_panel.js";
import { notify } from "./notices.js";
import { Preferences } from "./preferences.js";
import { Sessions } from "./sessions.js";
import { installSettings } from "./settings_dialog.js";
import { installShortcuts } from "./shortcuts.js";
import { SideList } from "./side_list.js";
import { legend, suggestions } from "./suggestions.js";
import { onSystemTheme, setTheme, shownTheme } from "./theme.js";
import { Transcript } from "./transcript.js";
import { readUseCases } from "./use_cases.js";
import { WhatIf } from "./what_if.js";

const storage = usableStorage();
const about = await readAbout();
const sessions = new Sessions(storage);
const preferences = new Preferences(storage);
const asking = new Asking(sessions, preferences, about);
drawIcons();
installDialogs();

const openKey = installKeyDialog(() => {
  live.refresh();
  loadUseCases();
});
const live = new LivePanel({ keyNeeded: about.key_needed, enterKey: () => openKey() });
const drawers = new Drawers(preferences.get("live"), (shown, wide) => {
  live.open = shown;
  if (preferences.get("live") !== wide) preferences.set("live", wide);
});
const composer = new Composer(sessions, asking, new WhatIf());
const openSettings = installSettings({ preferences, about, openKey, forgetAll, themed: drawTheme });
const actions = {
  again: (turn) => again(turn),
  edit: (turn) => edit(turn),
  key: (turn) => openKey(() => again(turn)),
  limits: openSettings,
};
new Transcript(sessions, actions);
new SideList(sessions, {
  chosen: () => drawers.closeAll(),
  end: (session) => endSession(session, { sessions, asking, openKey, focus }),
  hold: (session, useCase) => holdSession(session, useCase, { sessions, openKey }),
});
installAttaching(composer);
installShortcuts({ newSession, escape });
listen();
await loadUseCases();
document.body.dataset.ready = "true";

function listen() {
  byId("new-session").addEventListener("click", newSession);
  byId("open-settings").addEventListener("click", openSettings);
  byId("toggle-theme").addEventListener("click", () => {
    setTheme(shownTheme() === "dark" ? "light" : "dark");
    drawTheme();
  });
  onSystemTheme(drawTheme);
  sessions.addEventListener("shown", drawTitle);
  sessions.addEventListener("list", drawTitle);
  sessions.addEventListener("unkept", () =>
    notify(
      "storage",
      "This browser keeps nothing more for this page.",
      "The conversation goes on, but will be gone when the page is closed. End sessions that you no longer need.",
    ),
  );
  sessions.addEventListener("trimmed", () =>
    notify("storage", "This browser's storage was full.", "The oldest transcripts here were dropped to make room."),
  );
  if (sessions.damaged)
    notify(
      "storage",
      "What this browser had kept was damaged.",
      `${sessions.damaged === 1 ? "One transcript was" : `${sessions.damaged} transcripts were`} dropped; ` +
        "the router's own sessions are not touched.",
    );
  addEventListener("storage", ({ key }) => sessions.heardOfEntry(key));
  addEventListener("pagehide", () => {
    asking.leaving = true;
    sessions.saveAll();
  });
  addEventListener("pageshow", () => asking.comeBack());
  fill(
    byId("suggestions"),
    suggestions((text) => composer.suggest(text)),
  );
  drawTitle();
  drawTheme();
}

function newSession() {
  sessions.begin();
  drawers.closeAll();
  composer.box.focus();
}

/** The innermost thing that is open, or under way. */
function escape() {
  if (drawers.closeAll()) return true;
  if (!byId("what-if-answer").hidden) {
    composer.whatIf.close();
    composer.box.focus();
    return true;
  }
  if (!asking.isBusy(sessions.shown)) return false;
  asking.stop(sessions.shown);
  return true;
}

/** With its attachments, if they are still in memory; else it goes back into the box. */
function again(turn) {
  const whole = turn.attachments.every(({ data, url }) => data || url);
  if (!whole) return edit(turn);
  if (!asking.isBusy(sessions.shown)) asking.ask(sessions.shown, turn);
  focus();
}

/** For when what had the focus is gone. */
function focus() {
  (byId("conversation").inert ? byId("new-session") : composer.box).focus();
}

function edit(turn) {
  sessions.dropTurn(sessions.shown, turn);
  composer.take(turn);
}

function forgetAll() {
  asking.stopAll();
  preferences.reset();
  sessions.forgetAll();
}

async function loadUseCases() {
  try {
    await readUseCases();
    composer.drawChoices();
    fill(byId("legend"), legend());
  } catch (error) {
    notify("router", error.title, error.advice, [{ label: "Try again", run: loadUseCases }]);
  }
}

function drawTitle() {
  const { name } = sessions.shown;
  say(byId("title"), name || "New session");
  document.title = name ? `${name} · smart-router` : "smart-router playground";
}

function drawTheme() {
  const other = shownTheme() === "dark" ? "light" : "dark";
  byId("toggle-theme").setAttribute("aria-label", `Switch to ${other}`);
  byId("toggle-theme").title = `Switch to ${other}`;
}

function usableStorage() {
  try {
    localStorage.getItem("smart-router");
    return localStorage;
  } catch {
    return null;
  }
}
