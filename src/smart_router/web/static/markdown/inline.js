// Markdown within a line of text, as a tree. Pure, and in time that grows with the text's length alone: every bracket
// and every run of stars looks at the top of a stack.
//
// A span is a string, {kind: code, text}, {kind: break}, {kind: strong | em | del, spans} or
// {kind: link | picture, href, spans}. An href is http, https or mailto; other links stay text.

const ESCAPED = /[!-/:-@[-`{-~]/;
const PLAIN = /[^\\`*_~[\]!<\nh]+/y;
const BARE = /https?:\/\/[^\s<>"`]+/y;
const ANGLED = /<(https?:\/\/[^\s<>]{1,2000})>/y;
const TARGET = /\(\s*<?((?:[^\s()<>]|\([^\s()<>]*\)){1,2000})>?(?:\s+(?:"[^"\n]{0,500}"|'[^'\n]{0,500}'))?\s*\)/y;
const WORD = /[\p{L}\p{N}]/u;
const DEEPEST = 16;

export function parseInline(text) {
  return new Reader(text).read();
}

/** An address that may be followed, or null. */
export function safeHref(given) {
  if (/[\u0000-\u0020\u007f]/.test(given)) return null;
  let url;
  try {
    url = new URL(given);
  } catch {
    return null;
  }
  return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
}

class Reader {
  #at = 0;
  #spans = []; // all that was read, flat; delimiters are {mark, …} until they find their partner
  #brackets = [];
  #unclosed = new Set(); // lengths of runs of backticks that no equal run follows

  constructor(text) {
    this.text = text;
  }

  read() {
    while (this.#at < this.text.length) this.#step();
    return paired(this.#spans);
  }

  #step() {
    const plain = this.#match(PLAIN);
    if (plain) return this.#add(plain[0]);
    const letter = this.text[this.#at];
    if (letter === "\n") return this.#break();
    if (letter === "\\") return this.#escaped();
    if (letter === "`") return this.#code();
    if (letter === "*" || letter === "_" || letter === "~") return this.#run(letter);
    if (letter === "[") return this.#open("[", "link");
    if (letter === "!" && this.text[this.#at + 1] === "[") return this.#open("![", "picture");
    if (letter === "]") return this.#close();
    if (letter === "h") return this.#bare();
    if (letter === "<") return this.#angled();
    return this.#take(letter);
  }

  #match(pattern) {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.text);
    if (found) this.#at = pattern.lastIndex;
    return found;
  }

  #take(text) {
    this.#at += text.length;
    this.#add(text);
  }

  #add(text) {
    const last = this.#spans.length - 1;
    if (typeof this.#spans[last] === "string") this.#spans[last] += text;
    else this.#spans.push(text);
  }

  #break() {
    this.#at += 1;
    const last = this.#spans.length - 1;
    if (typeof this.#spans[last] === "string") this.#spans[last] = this.#spans[last].replace(/[ \\]+$/, "");
    this.#spans.push({ kind: "break" });
  }

  #escaped() {
    const next = this.text[this.#at + 1] ?? "";
    if (next === "\n" || !ESCAPED.test(next)) return this.#take("\\");
    this.#at += 2;
    this.#add(next);
  }

  #code() {
    const run = /`+/y;
    const [ticks] = this.#match(run);
    if (!this.#unclosed.has(ticks.length)) {
      const closing = /`+/g;
      closing.lastIndex = this.#at;
      for (let end = closing.exec(this.text); end; end = closing.exec(this.text)) {
        if (end[0].length !== ticks.length) continue;
        const inside = this.text.slice(this.#at, end.index).replaceAll("\n", " ");
        this.#at = closing.lastIndex;
        this.#spans.push({ kind: "code", text: /^ .*\S.* $/.test(inside) ? inside.slice(1, -1) : inside });
        return;
      }
      this.#unclosed.add(ticks.length);
    }
    this.#add(ticks);
  }

  #run(letter) {
    const from = this.#at;
    while (this.text[this.#at] === letter) this.#at += 1;
    const length = this.#at - from;
    const before = this.text[from - 1] ?? " ";
    const after = this.text[this.#at] ?? " ";
    let opens = !/\s/.test(after);
    let closes = !/\s/.test(before);
    if (letter === "_") {
      opens &&= !WORD.test(before);
      closes &&= !WORD.test(after);
    }
    if (length > 3 || (letter === "~" && length !== 2) || !(opens || closes)) this.#add(letter.repeat(length));
    else this.#spans.push({ mark: letter, length, opens, closes });
  }

  #open(mark, kind) {
    this.#at += mark.length;
    this.#brackets.push({ kind, mark, index: this.#spans.length });
    this.#spans.push({ text: mark });
  }

  #close() {
    this.#at += 1;
    const open = this.#brackets.pop();
    const target = open ? this.#match(TARGET) : null;
    const href = target ? safeHref(target[1].replace(/^<|>$/g, "")) : null;
    if (href === null) {
      this.#add(target ? `]${target[0]}` : "]");
      return;
    }
    const inside = this.#spans.splice(open.index).slice(1);
    this.#spans.push({ kind: open.kind, href, spans: paired(inside) });
    if (open.kind === "link") this.#brackets = this.#brackets.filter(({ kind }) => kind === "picture");
  }

  #bare() {
    const before = this.text[this.#at - 1] ?? " ";
    const found = WORD.test(before) || this.#brackets.length ? null : this.#match(BARE);
    if (!found) return this.#take("h");
    const bare = found[0].replace(/[.,;:!?'"*_~)\]]+$/, "");
    this.#at -= found[0].length - bare.length;
    const href = safeHref(bare);
    if (href === null) this.#add(bare);
    else this.#spans.push({ kind: "link", href, spans: [bare] });
  }

  #angled() {
    const found = this.#match(ANGLED);
    const href = found ? safeHref(found[1]) : null;
    if (href) this.#spans.push({ kind: "link", href, spans: [found[1]] });
    else if (found) this.#add(found[0]);
    else this.#take("<");
  }
}

/** Delimiters find their partners; those that have none are text. */
function paired(spans) {
  const levels = [{ open: null, spans: [] }];
  for (const span of spans) {
    if (span.mark === undefined || span.kind) {
      push(levels.at(-1).spans, span.text !== undefined && !span.kind ? span.text : span);
    } else {
      delimit(levels, span);
    }
  }
  while (levels.length > 1) reopen(levels);
  return levels[0].spans;
}

function delimit(levels, { mark, length, opens, closes }) {
  let left = length;
  if (closes) {
    let found = partner(levels, mark);
    while (left && found > 0) {
      while (levels.length - 1 > found) reopen(levels);
      left -= closeOne(levels, mark, left);
      found = partner(levels, mark);
    }
  }
  if (!left) return;
  if (opens && levels.length < DEEPEST) levels.push({ open: { mark, length: left }, spans: [] });
  else push(levels.at(-1).spans, mark.repeat(left));
}

/** The innermost level that *mark* began; 0 if there is none. At most DEEPEST are looked at. */
function partner(levels, mark) {
  for (let level = levels.length - 1; level > 0; level -= 1) if (levels[level].open.mark === mark) return level;
  return 0;
}

/** Closes with as many marks as both sides have, two at most; gives how many. */
function closeOne(levels, mark, left) {
  const { open, spans } = levels.pop();
  const used = Math.min(open.length, left, 2);
  const made = { kind: mark === "~" ? "del" : used === 2 ? "strong" : "em", spans };
  if (open.length > used) levels.push({ open: { mark, length: open.length - used }, spans: [made] });
  else push(levels.at(-1).spans, made);
  return used;
}

/** The innermost level was none: its mark is text. */
function reopen(levels) {
  const { open, spans } = levels.pop();
  push(levels.at(-1).spans, open.mark.repeat(open.length));
  for (const span of spans) push(levels.at(-1).spans, span);
}

function push(spans, span) {
  const last = spans.length - 1;
  if (typeof span === "string" && typeof spans[last] === "string") spans[last] += span;
  else if (span !== "") spans.push(span);
}
