// The sides of the page: beside the conversation where there is room, over it where there is not.
import { byId } from "./dom.js";

const narrow = { side: matchMedia("(max-width: 860px)"), live: matchMedia("(max-width: 1180px)") };

export class Drawers {
  #open = { side: false, live: false };

  /** *wide*: whether the live panel is shown where there is room; *changed(live is shown, wide)*. */
  constructor(wide, changed) {
    this.changed = changed;
    this.wide = wide;
    for (const query of Object.values(narrow)) query.addEventListener("change", () => this.closeAll());
    byId("scrim").addEventListener("click", () => this.closeAll());
    byId("open-side").addEventListener("click", () => this.#set("side", true));
    byId("close-side").addEventListener("click", () => this.#set("side", false));
    byId("open-live").addEventListener("click", () => this.#toggleLive());
    byId("close-live").addEventListener("click", () => this.#toggleLive());
    this.#draw();
  }

  /** True where there was one over the conversation. */
  closeAll() {
    const found = this.#open.side || this.#open.live;
    const opener = this.#open.side ? "open-side" : "open-live";
    this.#open = { side: false, live: false };
    this.#draw();
    if (found) byId(opener).focus();
    return found;
  }

  #toggleLive() {
    if (narrow.live.matches) {
      this.#set("live", !this.#open.live);
    } else {
      this.wide = !this.wide;
      this.#draw();
      byId("open-live").focus();
    }
  }

  #set(name, open) {
    if (!open) return void this.closeAll();
    this.#open = { side: false, live: false, [name]: true };
    this.#draw();
    byId(`close-${name}`).focus();
  }

  #draw() {
    const { side, live } = this.#open;
    const shown = narrow.live.matches ? live : this.wide;
    document.body.dataset.side = String(side);
    document.body.dataset.live = String(shown);
    byId("scrim").hidden = !(side || live);
    byId("conversation").inert = side || live;
    byId("side").inert = narrow.side.matches ? !side : live;
    byId("live").inert = !shown;
    byId("open-side").setAttribute("aria-expanded", String(side));
    byId("open-live").setAttribute("aria-expanded", String(shown));
    this.changed(shown, this.wide);
  }
}
