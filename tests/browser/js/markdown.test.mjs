import assert from "node:assert/strict";
import { test } from "node:test";
import { parseBlocks, parseWithSource } from "../../../src/smart_router/web/static/markdown/blocks.js";
import { parseInline, safeHref } from "../../../src/smart_router/web/static/markdown/inline.js";

const kinds = (text) => parseBlocks(text).map(({ kind }) => kind);

test("blocks are told apart", () => {
  const text =
    "# A\n\ntext\ngoes on\n\n- one\n- two\n\n1. x\n\n> q\n\n```js\nlet a;\n```\n\n---\n\n|a|b|\n|-|-|\n|1|2|";
  assert.deepEqual(kinds(text), ["heading", "paragraph", "list", "list", "quote", "code", "rule", "table"]);
});

test("a fence that is not closed yet goes on to the end", () => {
  assert.deepEqual(parseBlocks("```py\na = 1\n# b"), [{ kind: "code", language: "py", text: "a = 1\n# b" }]);
});

test("markup within a fence is code", () => {
  assert.deepEqual(kinds("~~~\n# a\n> b\n```\n~~~\nend"), ["code", "paragraph"]);
});

test("lists nest, and their items may hold blocks", () => {
  const [list] = parseBlocks("- a\n  - b\n    - c\n- d\n\n  more\n- [x] e");
  assert.equal(list.items.length, 3);
  assert.equal(list.items[0].blocks[1].items[0].blocks[1].kind, "list");
  assert.deepEqual(
    list.items[1].blocks.map(({ kind }) => kind),
    ["paragraph", "paragraph"],
  );
  assert.equal(list.items[2].checked, true);
});

test("a list keeps the number that it begins with", () => {
  assert.equal(parseBlocks("3. c\n4. d")[0].start, 3);
});

test("a year at the beginning of a line is no list", () => {
  assert.deepEqual(kinds("It was in\n1984. So it was."), ["paragraph"]);
});

test("a table's rows have as many cells as its head", () => {
  const [{ head, align, rows }] = parseBlocks("|a|b|\n|:-:|-:|\n|1|\n|1|2|3|\n|x\\|y|z|");
  assert.deepEqual(head, ["a", "b"]);
  assert.deepEqual(align, ["center", "end"]);
  assert.deepEqual(rows, [
    ["1", ""],
    ["1", "2"],
    ["x|y", "z"],
  ]);
});

test("what was read before a text grew stays the same", () => {
  const sources = (text) => parseWithSource(text).map(({ source }) => source);
  assert.deepEqual(sources("a\n\nb\n\nc").slice(0, 2), sources("a\n\nb\n\nc and d").slice(0, 2));
});

test("nesting ends somewhere", () => {
  let depth = 0;
  for (let [block] = parseBlocks("> ".repeat(100) + "x"); block?.kind === "quote"; [block] = block.blocks) depth += 1;
  assert.ok(depth > 3 && depth < 20, String(depth));
});

test("stars and underscores", () => {
  assert.deepEqual(parseInline("a **b** *c*"), [
    "a ",
    { kind: "strong", spans: ["b"] },
    " ",
    { kind: "em", spans: ["c"] },
  ]);
  assert.deepEqual(parseInline("***x***"), [{ kind: "em", spans: [{ kind: "strong", spans: ["x"] }] }]);
  assert.deepEqual(parseInline("snake_case_name and 2 * 3 * 4"), ["snake_case_name and 2 * 3 * 4"]);
  assert.deepEqual(parseInline("**open"), ["**open"]);
  assert.deepEqual(parseInline("\\*as is\\*"), ["*as is*"]);
});

test("code keeps its stars", () => {
  assert.deepEqual(parseInline("`**a**` ``b`c``"), [
    { kind: "code", text: "**a**" },
    " ",
    { kind: "code", text: "b`c" },
  ]);
});

test("links lead to the web and nowhere else", () => {
  assert.deepEqual(parseInline("[x](https://a.b/c_(d))"), [{ kind: "link", href: "https://a.b/c_(d)", spans: ["x"] }]);
  assert.deepEqual(parseInline("see https://a.b/c."), [
    "see ",
    { kind: "link", href: "https://a.b/c", spans: ["https://a.b/c"] },
    ".",
  ]);
  for (const bad of [
    "javascript:alert(1)",
    "JAVASCRIPT:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "/path",
    "//host",
    "java\tscript:x",
    "file:///etc/passwd",
    "blob:x",
  ]) {
    assert.equal(safeHref(bad), null, bad);
    assert.ok(
      parseInline(`[x](${bad})`).every((span) => span.kind !== "link"),
      bad,
    );
  }
});

// Hours, if time grew with the square of the length: whoever runs this test gives up before.
test("a text made to take long is read to its end", () => {
  const bombs = [
    "*a_".repeat(3e4),
    "[".repeat(1e5),
    "[a](b".repeat(2e4),
    "`".repeat(1e5),
    ">".repeat(1e5),
    "- ".repeat(3e4),
    "|".repeat(5e4) + "\n" + "|-".repeat(5e4),
    "![".repeat(5e4),
    "[a](" + "(".repeat(1e5),
    "<http://".repeat(2e4),
    "\\".repeat(1e5),
    "~~a".repeat(3e4),
    " ".repeat(1e5) + "x",
    "#".repeat(1e5),
    "* ".repeat(5e4) + "a",
  ];
  for (const bomb of bombs) {
    for (const { text } of parseBlocks(bomb)) if (text !== undefined) parseInline(text);
    parseInline(bomb);
  }
});
