// Markdown's tree as elements. Text becomes text nodes, links lead out without a way back, pictures are not loaded.
import { copyButton } from "../copying.js";
import { el } from "../dom.js";
import { languageOf } from "../language.js";
import { parseWithSource } from "./blocks.js";
import { parseInline } from "./inline.js";

const MOST_CHARACTERS = 200_000; // beyond, all of it is shown as plain text
const MOST_ELEMENTS = 20_000;

/** Draws a text that may grow: blocks that have not changed keep their elements. */
export class MarkdownView {
  #drawn = []; // {source, element}

  constructor() {
    this.element = el("div", { class: "prose" });
  }

  update(text) {
    if (text.length > MOST_CHARACTERS) {
      this.#drawn = [];
      this.element.replaceChildren(el("pre", { class: "plain", dir: "auto" }, text));
      return;
    }
    const blocks = parseWithSource(text);
    let same = 0;
    while (same < this.#drawn.length && same < blocks.length && this.#drawn[same].source === blocks[same].source)
      same += 1;
    for (const { element } of this.#drawn.splice(same)) element.remove();
    const budget = { left: MOST_ELEMENTS - this.element.childElementCount };
    for (const { block, source } of blocks.slice(same)) {
      const element = draw(block, source, budget);
      this.element.append(element);
      this.#drawn.push({ source, element });
    }
  }
}

function draw(block, source, budget) {
  return budget.left > 0 ? drawBlock(block, budget) : el("pre", { class: "plain", dir: "auto" }, source);
}

function drawBlock(block, budget) {
  budget.left -= 1;
  if (budget.left < 0) return el("p", {}, "…");
  switch (block.kind) {
    case "heading":
      // Models skip levels, screen readers should not have to.
      return worded("h3", block.text, budget, { class: `level-${block.level}` });
    case "code":
      return drawCode(block);
    case "quote":
      return el(
        "blockquote",
        {},
        block.blocks.map((inner) => drawBlock(inner, budget)),
      );
    case "list":
      return drawList(block, budget);
    case "table":
      return drawTable(block, budget);
    case "rule":
      return el("hr");
    default:
      return worded("p", block.text, budget);
  }
}

function worded(tag, text, budget, attributes = {}) {
  return el(tag, { dir: "auto", lang: languageOf(text), ...attributes }, drawSpans(parseInline(text), budget));
}

function drawCode({ language, text }) {
  const label = language || "code";
  const bar = el(
    "div",
    { class: "code-bar" },
    el("span", {}, label),
    copyButton(() => text, `Copy ${label}`),
  );
  // Scrolls sideways, so it can be reached by keyboard.
  const body = el(
    "pre",
    { tabindex: "0", role: "group", "aria-label": `${label}, ${text.split("\n").length} lines`, dir: "ltr" },
    el("code", {}, text),
  );
  return el("div", { class: "code" }, bar, body);
}

function drawList({ ordered, start, items }, budget) {
  const list = el(ordered ? "ol" : "ul", ordered && start !== 1 ? { start } : {});
  for (const { blocks, checked } of items) {
    budget.left -= 1;
    const item = el("li", checked === null ? {} : { class: "task" });
    if (checked !== null) {
      item.append(el("input", { type: "checkbox", disabled: true, checked, "aria-label": checked ? "done" : "to do" }));
    }
    const tight = blocks.length > 0 && blocks[0].kind === "paragraph";
    if (tight) item.append(worded("span", blocks[0].text, budget));
    item.append(...blocks.slice(tight ? 1 : 0).map((block) => drawBlock(block, budget)));
    list.append(item);
  }
  return list;
}

function drawTable({ head, align, rows }, budget) {
  const row = (tag, cells) => {
    budget.left -= cells.length;
    return el(
      "tr",
      {},
      cells.map((text, i) =>
        worded(tag, text, budget, { class: `to-${align[i] ?? "start"}`, scope: tag === "th" ? "col" : null }),
      ),
    );
  };
  const body = [];
  for (const cells of rows) {
    if (budget.left < 0) break;
    body.push(row("td", cells));
  }
  const table = el("table", {}, el("thead", {}, row("th", head)), el("tbody", {}, body));
  return el("div", { class: "table", tabindex: "0", role: "group", "aria-label": "Table" }, table);
}

function drawSpans(spans, budget) {
  return spans.map((span) => {
    if (typeof span === "string") return span;
    budget.left -= 1;
    if (budget.left < 0) return "…";
    switch (span.kind) {
      case "break":
        return el("br");
      case "code":
        return el("code", { dir: "ltr" }, span.text);
      case "link":
        return outward(span.href, drawSpans(span.spans, budget));
      case "picture":
        return outward(span.href, ["picture: ", ...drawSpans(span.spans, budget)]);
      default:
        return el(span.kind, {}, drawSpans(span.spans, budget));
    }
  });
}

function outward(href, children) {
  return el(
    "a",
    { href, rel: "noopener noreferrer nofollow", target: "_blank", referrerpolicy: "no-referrer" },
    ...children,
  );
}
