// Server-sent events from text that comes in pieces. Pure.
// https://html.spec.whatwg.org/multipage/server-sent-events.html

export class EventReader {
  #rest = "";
  #event = "";
  #data = [];
  #started = false;

  /** What is complete with this piece: `{event, data}`, or `{comment}`. */
  *feed(piece) {
    let text = this.#rest + piece;
    if (!this.#started && text) {
      this.#started = true;
      if (text.startsWith("\ufeff")) text = text.slice(1);
    }
    const ends = /\r\n|\n|\r(?!$)/g; // a carriage return at the very end may be half of a line's end
    let from = 0;
    for (let end = ends.exec(text); end; end = ends.exec(text)) {
      const found = this.#line(text.slice(from, end.index));
      from = ends.lastIndex;
      if (found) yield found;
    }
    this.#rest = text.slice(from);
  }

  #line(line) {
    if (line === "") return this.#dispatch();
    if (line.startsWith(":")) return { comment: line.slice(1).trim() };
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "event") this.#event = value;
    else if (field === "data") this.#data.push(value);
    return null;
  }

  #dispatch() {
    const found = this.#data.length ? { event: this.#event || "message", data: this.#data.join("\n") } : null;
    this.#event = "";
    this.#data = [];
    return found;
  }
}
