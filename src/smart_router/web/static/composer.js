// The message box: words, attachments, where they should go, and the buttons that send, stop and look ahead.
import { attachmentChip } from "./attachment_views.js";
import { byId, el, fill, setAttribute } from "./dom.js";
import { languageOf } from "./language.js";
import { dismiss, notify } from "./notices.js";
import { forget, readFile } from "./reading_files.js";
import { isUnderWay, newTurn } from "./sessions.js";
import { Trouble } from "./trouble.js";
import { useCases } from "./use_cases.js";

const TALLEST_PX = 260;

export class Composer {
  #files = new Map(); // session id -> attachments that wait; their bytes stay in memory
  #reading = Promise.resolve(); // until all files that were chosen are read

  constructor(sessions, asking, whatIf) {
    Object.assign(this, { sessions, asking, whatIf });
    this.form = byId("composer");
    this.box = byId("ask");
    this.choice = byId("choice");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.box.addEventListener("input", () => this.#typed());
    this.box.addEventListener("keydown", (event) => this.#pressed(event));
    this.choice.addEventListener("change", () => this.#chose());
    byId("stop").addEventListener("click", () => this.asking.stop(this.sessions.shown));
    byId("what-if").addEventListener("click", () => this.lookAhead());
    sessions.addEventListener("shown", () => this.show());
    sessions.addEventListener("turn", ({ detail }) => detail.session === sessions.shown && this.#drawButtons());
    this.show();
  }

  get files() {
    return this.#files.get(this.sessions.shown.id) ?? [];
  }

  set files(files) {
    this.#files.set(this.sessions.shown.id, files);
    this.#drawFiles();
    this.whatIf.outdated();
  }

  /** The draft of the session that is shown now. */
  show() {
    const { shown } = this.sessions;
    this.box.value = shown.draft;
    this.whatIf.close();
    dismiss("composer");
    this.drawChoices();
    this.#drawFiles();
    this.#drawButtons();
    this.#fit();
  }

  drawChoices() {
    const { shown } = this.sessions;
    const known = useCases();
    const gone = shown.choice && known.length && !known.some(({ id }) => id === shown.choice);
    if (gone) shown.choice = "";
    const options = known.map(({ id, description, available }) =>
      el("option", { value: id, title: description }, available ? id : `${id} (no model up)`),
    );
    if (shown.choice && !known.length) options.push(el("option", { value: shown.choice }, shown.choice));
    fill(this.choice, el("option", { value: "" }, "Automatic"), options);
    this.choice.value = shown.choice;
  }

  async send() {
    const { shown } = this.sessions;
    await this.#reading; // what was attached belongs to it
    if (shown !== this.sessions.shown || this.asking.isBusy(shown)) return;
    const turn = this.#turn();
    if (turn === null) return;
    const objection = this.asking.objection(shown, turn);
    if (objection) {
      notify("composer", objection.title, objection.advice);
      return;
    }
    this.#clear();
    this.sessions.addTurn(shown, turn);
    await this.asking.ask(shown, turn);
  }

  /** Shows where the message would go, without sending it. */
  async lookAhead() {
    const turn = this.#turn();
    if (turn !== null) await this.whatIf.look(this.sessions.shown, turn);
  }

  /** Words and attachments of *turn* come back into the box, before what is there. */
  take(turn) {
    const { shown } = this.sessions;
    shown.draft = [turn.query, this.box.value].filter(Boolean).join("\n");
    const whole = turn.attachments.filter(({ data, url }) => data || url);
    const lost = turn.attachments.length - whole.length;
    this.#files.set(shown.id, [...whole, ...this.files]);
    this.sessions.save(shown);
    this.show();
    this.box.focus();
    if (lost)
      notify(
        "composer",
        `${lost === 1 ? "An attachment is" : `${lost} attachments are`} no longer in memory.`,
        "The page was reloaded since: attach again what the message needs.",
      );
  }

  suggest(text) {
    this.box.value = text;
    this.#typed();
    this.box.focus();
  }

  async attach(files) {
    const reading = this.#read(files, this.sessions.shown);
    this.#reading = Promise.allSettled([this.#reading, reading]);
    await reading;
  }

  async #read(files, session) {
    const attached = () => this.#files.get(session.id) ?? [];
    for (const file of files) {
      try {
        const most = this.asking.about.max_attachments;
        if (attached().length >= most)
          throw new Trouble(
            "files",
            `The router takes ${most} attachments at once.`,
            "Send these first, or remove one.",
          );
        const attachment = await readFile(file, this.asking.about.max_body_bytes);
        this.#files.set(session.id, [...attached(), attachment]);
        dismiss("composer");
      } catch (error) {
        if (!(error instanceof Trouble)) throw error;
        notify("composer", error.title, error.advice);
      }
    }
    this.#drawFiles();
    this.whatIf.outdated();
    this.box.focus();
  }

  add(attachment) {
    this.files = [...this.files, attachment];
    this.box.focus();
  }

  #turn() {
    const query = this.box.value.trim();
    if (query) return newTurn(query, [...this.files], this.choice.value);
    const advice = this.files.length ? "Say what should be done with the attachment." : "Type a message first.";
    notify("composer", "There is nothing to send yet.", advice);
    this.box.focus();
    return null;
  }

  #clear() {
    const { shown } = this.sessions;
    shown.draft = "";
    this.#files.delete(shown.id);
    this.show();
    this.box.focus();
  }

  #typed() {
    const { shown } = this.sessions;
    shown.draft = this.box.value;
    this.sessions.saveSoon(shown);
    setAttribute(this.box, "lang", languageOf(this.box.value));
    this.whatIf.outdated();
    dismiss("composer");
    this.#fit();
  }

  /** Not while an input method is composing: its Enter accepts a word. Safari tells of that by the code alone. */
  #pressed(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) this.lookAhead();
    else this.send();
  }

  #chose() {
    const { shown } = this.sessions;
    shown.choice = this.choice.value;
    this.sessions.saveSoon(shown);
    this.whatIf.outdated();
  }

  #drawFiles() {
    const list = byId("attached");
    const { files } = this;
    list.hidden = files.length === 0;
    fill(
      list,
      files.map((file) => attachmentChip(file, () => this.#remove(file))),
    );
  }

  #remove(file) {
    this.files = this.files.filter((other) => other !== file);
    forget(file);
    this.box.focus();
  }

  #drawButtons() {
    const busy = this.sessions.shown.turns.some(isUnderWay);
    const hadFocus = document.activeElement === byId("stop");
    byId("send").hidden = busy;
    byId("stop").hidden = !busy;
    if (!busy && hadFocus) this.box.focus();
  }

  #fit() {
    this.box.style.height = "auto";
    this.box.style.height = `${Math.min(TALLEST_PX, this.box.scrollHeight)}px`;
  }
}
