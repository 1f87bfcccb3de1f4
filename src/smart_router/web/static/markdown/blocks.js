// Markdown's blocks, as a tree. Pure, and in time that grows with the text's length alone.
//
// A block is {kind, …}: paragraph {text}, heading {level, text}, code {language, text}, quote {blocks},
// list {ordered, start, items: [{blocks, checked}]}, table {head, align, rows}, rule. Texts hold inline Markdown.

const DEEPEST = 8; // what is nested deeper is text
const MOST_CELLS = 40; // of a table's row
const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^\s`]{0,40})[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*))?$/;
const RULE = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(?:([ \t]+)(.*)|$)/;
const TABLE_RULE = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*){0,39}\|?[ \t]*$/;
const CHECKBOX = /^\[([ xX])\][ \t]+/;

export function parseBlocks(text, depth = 0) {
  return parseLines(text.replace(/\r\n?/g, "\n").split("\n"), depth).map(({ block }) => block);
}

/**
 * The outermost blocks, each with the lines that it was read from: `{block, source}`. As a text grows at its end, all
 * but the last few stay as they are.
 */
export function parseWithSource(text) {
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  return parseLines(lines, 0).map(({ block, from, to }) => ({ block, source: lines.slice(from, to).join("\n") }));
}

function parseLines(lines, depth) {
  const found = [];
  let at = 0;
  while (at < lines.length) {
    if (isBlank(lines[at])) {
      at += 1;
      continue;
    }
    const [block, next] = readBlock(lines, at, depth);
    found.push({ block, from: at, to: next });
    at = next;
  }
  return found;
}

function readBlock(lines, at, depth) {
  const line = lines[at];
  const fence = FENCE.exec(line);
  if (fence) return readFence(lines, at, fence);
  const heading = HEADING.exec(line);
  if (heading) return [{ kind: "heading", level: heading[1].length, text: trimmedHeading(heading[2] ?? "") }, at + 1];
  if (RULE.test(line)) return [{ kind: "rule" }, at + 1];
  if (depth < DEEPEST && QUOTE.test(line)) return readQuote(lines, at, depth);
  if (depth < DEEPEST && ITEM.test(line)) return readList(lines, at, depth);
  if (isTable(lines, at)) return readTable(lines, at);
  return readParagraph(lines, at, depth);
}

/** One that is not closed goes on to the end: so it looks while it is being written. */
function readFence(lines, at, [, mark, language]) {
  const indent = lines[at].length - lines[at].trimStart().length;
  const close = new RegExp(`^ {0,3}${mark[0] === "~" ? "~" : "`"}{${mark.length},}[ \\t]*$`);
  const body = [];
  let next = at + 1;
  while (next < lines.length && !close.test(lines[next])) {
    body.push(indent ? lines[next].replace(new RegExp(`^ {0,${indent}}`), "") : lines[next]);
    next += 1;
  }
  return [{ kind: "code", language, text: body.join("\n") }, Math.min(next + 1, lines.length)];
}

function readQuote(lines, at, depth) {
  const inner = [];
  let next = at;
  while (next < lines.length && QUOTE.test(lines[next])) {
    inner.push(lines[next].replace(QUOTE, ""));
    next += 1;
  }
  return [{ kind: "quote", blocks: parseBlocks(inner.join("\n"), depth + 1) }, next];
}

function readList(lines, at, depth) {
  const first = ITEM.exec(lines[at]);
  const ordered = /\d/.test(first[2]);
  const items = [];
  let next = at;
  while (next < lines.length) {
    const item = ITEM.exec(lines[next]);
    if (!item || /\d/.test(item[2]) !== ordered || RULE.test(lines[next])) break;
    const [inner, after] = itemLines(lines, next, item);
    items.push(readItem(inner, depth));
    next = after;
    while (next < lines.length && isBlank(lines[next]) && ITEM.test(lines[next + 1] ?? "")) next += 1;
  }
  return [{ kind: "list", ordered, start: ordered ? Number.parseInt(first[2], 10) : 1, items }, next];
}

/** The lines of one item without its indent: indented ones, and those that go on lazily with a paragraph. */
function itemLines(lines, at, [, lead, mark, gap, rest]) {
  const indent = lead.length + mark.length + Math.min((gap ?? " ").length, 4);
  const inner = [rest ?? ""];
  let next = at + 1;
  while (next < lines.length) {
    const line = lines[next];
    if (isBlank(line)) {
      if (!isIndented(lines[next + 1] ?? "", 2)) break;
      inner.push("");
    } else if (isIndented(line, Math.min(indent, 2))) {
      inner.push(outdented(line, indent));
    } else if (isBlank(inner.at(-1)) || begins(line)) {
      break;
    } else {
      inner.push(line);
    }
    next += 1;
  }
  return [inner, next];
}

function readItem(inner, depth) {
  const box = CHECKBOX.exec(inner[0]);
  if (box) inner[0] = inner[0].slice(box[0].length);
  return { blocks: parseBlocks(inner.join("\n"), depth + 1), checked: box ? box[1] !== " " : null };
}

function isTable(lines, at) {
  const rule = lines[at + 1];
  return lines[at].includes("|") && rule !== undefined && rule.includes("|") && TABLE_RULE.test(rule);
}

function readTable(lines, at) {
  const head = cells(lines[at]);
  const align = cells(lines[at + 1]).map((rule) => {
    if (rule.endsWith(":")) return rule.startsWith(":") ? "center" : "end";
    return "start";
  });
  const rows = [];
  let next = at + 2;
  while (next < lines.length && lines[next].includes("|") && !isBlank(lines[next])) {
    const row = cells(lines[next]);
    rows.push(head.map((_, i) => row[i] ?? ""));
    next += 1;
  }
  return [{ kind: "table", head, align, rows }, next];
}

/** What stands between bars; a bar behind a backslash is text. */
function cells(line) {
  const inside = line
    .trim()
    .replace(/^\|/, "")
    .replace(/(?<!\\)\|$/, "");
  return inside.split(/(?<!\\)\|/, MOST_CELLS).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

function readParagraph(lines, at, depth) {
  const found = [lines[at].trimStart()];
  let next = at + 1;
  while (next < lines.length && !isBlank(lines[next]) && !interrupts(lines, next, depth)) {
    found.push(lines[next].trimStart());
    next += 1;
  }
  return [{ kind: "paragraph", text: found.join("\n") }, next];
}

function interrupts(lines, at, depth) {
  const item = depth < DEEPEST ? ITEM.exec(lines[at]) : null;
  if (item) return item[4] !== undefined && (!/\d/.test(item[2]) || Number.parseInt(item[2], 10) === 1);
  const line = lines[at];
  if (depth < DEEPEST && QUOTE.test(line)) return true;
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || isTable(lines, at);
}

function begins(line) {
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line);
}

function trimmedHeading(text) {
  const end = text.trimEnd();
  const bare = end.replace(/#+$/, "");
  return bare === end ? end.trim() : bare === "" || bare.endsWith(" ") ? bare.trim() : end.trim();
}

function isBlank(line) {
  return line.trim() === "";
}

function isIndented(line, spaces) {
  return line.startsWith("\t") || line.startsWith(" ".repeat(spaces));
}

function outdented(line, most) {
  if (line.startsWith("\t")) return line.slice(1);
  const indent = line.length - line.trimStart().length;
  return line.slice(Math.min(indent, most));
}
