import assert from "node:assert/strict";
import { test } from "node:test";
import { EventReader } from "../../../src/smart_router/web/static/sse.js";

const STREAM =
  '\ufeff: waiting\r\n\r\nevent: route\r\ndata: {"a":\r\ndata: 1}\r\n\r\ndata:x\n\nid: 7\nevent: done\rdata\r\rdata: last';
const read = (pieces) => {
  const reader = new EventReader();
  return pieces.flatMap((piece) => [...reader.feed(piece)]);
};
const EVENTS = [
  { comment: "waiting" },
  { event: "route", data: '{"a":\n1}' },
  { event: "message", data: "x" },
  { event: "done", data: "" },
];

test("events, comments and every kind of line end", () => {
  assert.deepEqual(read([STREAM]), EVENTS);
});

test("the same, wherever a stream is cut", () => {
  for (let cut = 1; cut < STREAM.length; cut += 1)
    assert.deepEqual(read([STREAM.slice(0, cut), STREAM.slice(cut)]), EVENTS, `cut at ${cut}`);
  assert.deepEqual(read([...STREAM]), EVENTS);
});

test("an event that is not complete is not told", () => {
  assert.deepEqual(read(["event: done\ndata: {}\n"]), []);
});

test("a name without data is no event, and does not stick", () => {
  assert.deepEqual(read(["event: a\n\ndata: 1\n\n"]), [{ event: "message", data: "1" }]);
});
