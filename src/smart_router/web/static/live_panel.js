// The live panel: asks `/stats` while it is looked at, and draws it.
import { hasKey } from "./access_key.js";
import { byId, el, fill, say } from "./dom.js";
import { count, duration, percent, shortModel } from "./format.js";
import { sparkline } from "./icons.js";
import { liveNumbers, moodOf } from "./live_numbers.js";
import { ask } from "./router_calls.js";
import { lineOf } from "./use_cases.js";

const EVERY_MS = 3000;
const MOST_SAMPLES = 40;

export class LivePanel {
  #timer = 0;
  #samples = [];
  #open = false;
  #drawn = "";

  /** *keyNeeded*: until there is a key, nothing is asked. *enterKey* asks the user for it. */
  constructor({ keyNeeded, enterKey }) {
    Object.assign(this, { keyNeeded, enterKey });
    this.body = byId("live-body");
    document.addEventListener("visibilitychange", () => this.#follow());
  }

  set open(open) {
    this.#open = open;
    this.#follow();
  }

  refresh() {
    this.#follow();
  }

  #follow() {
    clearTimeout(this.#timer);
    if (this.#open && !document.hidden) this.#look();
  }

  async #look() {
    if (this.keyNeeded && !hasKey()) return this.#askForKey();
    try {
      const [stats, health] = await Promise.all([ask("GET", "stats"), healthIfTold()]);
      this.#draw(liveNumbers(stats, health));
    } catch (error) {
      this.#drawTrouble(error);
    }
    clearTimeout(this.#timer);
    if (this.#open && !document.hidden) this.#timer = setTimeout(() => this.#look(), EVERY_MS);
  }

  #askForKey() {
    this.#state("locked", "locked");
    this.#once("key", () => [
      el("p", { class: "further" }, "The numbers are shown to whoever has the router's key."),
      el("button", { type: "button", class: "small", on: { click: this.enterKey } }, "Enter the key"),
    ]);
  }

  #drawTrouble(error) {
    this.#state("lost", "no numbers");
    this.#once(`trouble ${error.title}`, () => [
      el(
        "p",
        { class: "further" },
        el("strong", {}, error.title ?? "The numbers could not be read."),
        " It is tried again every few seconds.",
      ),
    ]);
  }

  #draw(live) {
    this.#samples = [...this.#samples, live.total].slice(-MOST_SAMPLES);
    this.#state(live.status === null ? "on" : live.status, live.scope);
    const what = JSON.stringify([live, this.#samples]);
    this.#once(what, () => [bypassing(live), speeds(live), traffic(live, this.#samples), models(live), totals(live)]);
  }

  #state(state, words) {
    byId("live-state").dataset.state = state;
    say(byId("live-scope"), words);
  }

  #once(what, parts) {
    if (this.#drawn === what) return;
    this.#drawn = what;
    fill(this.body, parts());
  }
}

async function healthIfTold() {
  try {
    return await ask("GET", "health");
  } catch {
    return null;
  }
}

function bypassing({ bypassRate, bypassed, routed }) {
  const filled = el("span", { class: "bar-filled" });
  filled.style.setProperty("--share", String(bypassRate ?? 0));
  const words =
    bypassRate === null ? "No request yet" : `${count(bypassed)} of ${count(bypassed + routed)} skipped the classifier`;
  return el(
    "section",
    { class: "live-part" },
    el("h3", {}, "Bypass rate"),
    el("p", { class: "figure" }, bypassRate === null ? "–" : percent(bypassRate)),
    el("div", { class: "bar-track tall", "aria-hidden": "true" }, filled),
    el("p", { class: "further" }, words),
  );
}

function speeds({ routing, bypass, inference, whole }) {
  const rows = [
    ["Classified", routing, "Average time to decide with the classifier"],
    ["Bypassed", bypass, "Average time to decide without it"],
    ["Inference", inference, "Average time that models take"],
    ["In all", whole, "Average time of a request"],
  ];
  return el(
    "section",
    { class: "live-part" },
    el("h3", {}, "Average times"),
    el(
      "dl",
      { class: "speeds" },
      rows.map(([name, value, title]) =>
        el("div", { title }, el("dt", {}, name), el("dd", {}, value === null ? "–" : duration(value))),
      ),
    ),
  );
}

function traffic({ useCases }, samples) {
  const most = Math.max(1, ...useCases.map(({ requests }) => requests));
  const grown = samples.slice(1).map((total, i) => Math.max(0, total - samples[i]));
  const rows = useCases.map(({ id, requests, errors }) => {
    const filled = el("span", { class: "bar-filled" });
    filled.style.setProperty("--share", String(requests / most));
    return el(
      "li",
      { class: `bar ${lineOf(id)}` },
      el("span", { class: "bar-name" }, id),
      el("span", { class: "bar-track", "aria-hidden": "true" }, filled),
      el(
        "span",
        { class: "bar-value", title: errors ? `${errors} failed` : null },
        count(requests),
        errors > 0 && el("span", { class: "failed" }, `, ${count(errors)} failed`),
      ),
    );
  });
  return el(
    "section",
    { class: "live-part bars" },
    el("h3", {}, "Traffic"),
    rows.length ? el("ul", {}, rows) : el("p", { class: "further" }, "Nothing has been asked yet."),
    grown.length > 2 &&
      grown.some(Boolean) &&
      el("figure", {}, sparkline(grown, 240, 32), el("figcaption", {}, lately(grown.length))),
  );
}

function lately(samples) {
  const seconds = Math.round((samples * EVERY_MS) / 1000);
  return `requests, the last ${seconds >= 90 ? `${Math.round(seconds / 60)} minutes` : `${seconds} seconds`}`;
}

function models({ models: rows }) {
  if (!rows.length) return null;
  const items = rows.map(({ id, state, inFlight, waiting, trouble }) =>
    el(
      "li",
      { title: trouble || id },
      el("span", { class: `lamp ${moodOf(state)}`, "aria-hidden": "true" }),
      el("span", { class: "model-name" }, shortModel(id)),
      el(
        "span",
        { class: "model-state" },
        [state, inFlight > 0 && `${count(inFlight)} running`, waiting > 0 && `${count(waiting)} waiting`]
          .filter(Boolean)
          .join(", "),
      ),
    ),
  );
  return el("section", { class: "live-part" }, el("h3", {}, "Models"), el("ul", { class: "models" }, items));
}

function totals({ total, sessions, changes, failed }) {
  const rows = [
    ["Requests", total],
    ["Sessions", sessions],
    ["Switches", changes],
    ["Failed", failed],
  ];
  return el(
    "section",
    { class: "live-part" },
    el("h3", {}, "Since counting began"),
    el(
      "dl",
      { class: "speeds" },
      rows.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, count(value)))),
    ),
  );
}
