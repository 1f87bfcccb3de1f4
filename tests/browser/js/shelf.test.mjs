import assert from "node:assert/strict";
import { test } from "node:test";
import { MOST_SESSIONS, MOST_TURNS, PREFIX, Shelf, readSession } from "../../../src/smart_router/web/static/shelf.js";

/** As localStorage is, with a quota in letters. */
function storage(quota = Infinity) {
  const kept = {};
  const own = (name, value) => Object.defineProperty(kept, name, { value, enumerable: false });
  own("getItem", (name) => (Object.hasOwn(kept, name) ? kept[name] : null));
  own("removeItem", (name) => delete kept[name]);
  own("setItem", (name, value) => {
    const others = Object.entries(kept).reduce(
      (sum, [other, text]) => sum + (other === name ? 0 : other.length + text.length),
      0,
    );
    if (others + name.length + value.length > quota) throw new Error("QuotaExceededError");
    kept[name] = value;
  });
  return kept;
}

const turn = (id, changed = {}) => ({
  id,
  query: "q",
  attachments: [],
  choice: "",
  asked: 1,
  state: "done",
  text: "a",
  decision: null,
  why: null,
  record: null,
  firstMs: 1,
  totalMs: 2,
  trouble: null,
  forgotten: false,
  elsewhere: false,
  ...changed,
});
const session = (id, changed = {}) => ({
  id,
  name: id,
  named: false,
  pinned: false,
  held: "",
  created: 1,
  updated: 1,
  choice: "",
  draft: "",
  turns: [turn("t")],
  ...changed,
});

test("what is saved is loaded, the latest first", () => {
  const shelf = new Shelf(storage());
  for (const [id, updated] of [
    ["a", 1],
    ["b", 3],
    ["c", 2],
  ])
    assert.equal(shelf.save(session(id, { updated })), "kept");
  assert.deepEqual(
    shelf.load().sessions.map(({ id }) => id),
    ["b", "c", "a"],
  );
  assert.deepEqual(shelf.one("a"), session("a"));
});

test("bytes of files, and whatever else a turn carries in memory, are not written", () => {
  const kept = storage();
  const attachment = {
    kind: "image",
    name: "x.png",
    size: 3,
    url: null,
    data: "c2VjcmV0",
    mediaType: "image/png",
    preview: "blob:x",
  };
  new Shelf(kept).save(
    session("a", { turns: [turn("t", { attachments: [attachment], note: "n", secret: "s3" })], key: "sk-1" }),
  );
  const text = JSON.stringify(kept);
  for (const never of ["c2VjcmV0", "blob:", "s3", "sk-1"]) assert.ok(!text.includes(never), never);
});

test("an answer that was under way was interrupted", () => {
  const shelf = new Shelf(storage());
  shelf.save(
    session("a", {
      turns: [turn("t", { state: "streaming", text: "half" }), turn("u", { state: "waiting", text: "" })],
    }),
  );
  assert.deepEqual(
    shelf.one("a").turns.map(({ state }) => state),
    ["interrupted", "interrupted"],
  );
});

test("what is damaged is dropped, and counted", () => {
  const kept = storage();
  const good = JSON.stringify({ version: 1, ...session("good") });
  const damaged = [
    "",
    "null",
    "[]",
    "{}",
    '{"version":2}',
    good.replace('"good"', '"other"'),
    good.slice(0, -9),
    JSON.stringify({ version: 1, id: "x6", turns: [{ id: "t" }] }),
  ];
  damaged.forEach((text, i) => kept.setItem(`${PREFIX}x${i}`, text));
  kept.setItem(`${PREFIX}good`, good);
  kept.setItem("somebody-else", "[");
  const { sessions, damaged: counted } = new Shelf(kept).load();
  assert.deepEqual(
    sessions.map(({ id }) => id),
    ["good"],
  );
  assert.equal(counted, damaged.length);
  assert.deepEqual(Object.keys(kept).sort(), ["smart-router/session/good", "somebody-else"]);
});

test("fields of a wrong kind are not believed", () => {
  const odd = readSession(
    {
      version: 1,
      id: "a",
      name: 7,
      pinned: "yes",
      updated: "now",
      draft: {},
      turns: [
        {
          id: "t",
          query: "q",
          text: "x",
          state: "flying",
          attachments: [{ kind: "tank", name: 1 }, null],
          trouble: "t",
          firstMs: "1",
        },
      ],
    },
    "a",
  );
  assert.deepEqual([odd.name, odd.pinned, odd.updated, odd.draft], ["", false, 0, ""]);
  assert.deepEqual([odd.turns[0].state, odd.turns[0].trouble, odd.turns[0].firstMs], ["interrupted", null, null]);
  assert.deepEqual(odd.turns[0].attachments, [{ kind: "image", name: "", size: null, url: null }]);
});

test("there is an end to what is kept", () => {
  const shelf = new Shelf(storage());
  for (let i = 0; i < MOST_SESSIONS + 5; i += 1) shelf.save(session(`s${i}`, { updated: i, pinned: i === 0 }));
  const { sessions } = shelf.load();
  assert.equal(sessions.length, MOST_SESSIONS);
  assert.ok(
    sessions.some(({ id }) => id === "s0"),
    "the pinned one stays",
  );
  shelf.save(session("long", { turns: Array.from({ length: MOST_TURNS + 9 }, (_, i) => turn(`t${i}`)) }));
  assert.equal(shelf.one("long").turns.length, MOST_TURNS);
});

test("a full storage gives up its oldest, or nothing at all", () => {
  const kept = storage(6000);
  const shelf = new Shelf(kept);
  const filled = (letters) => ({ turns: [turn("t", { text: "x".repeat(letters) })] });
  shelf.save(session("old", { updated: 1, ...filled(2000) }));
  shelf.save(session("new", { updated: 2, ...filled(2000) }));
  assert.equal(shelf.save(session("next", { updated: 3, ...filled(2000) })), "trimmed");
  assert.deepEqual(
    shelf.load().sessions.map(({ id }) => id),
    ["next", "new"],
  );
  assert.equal(shelf.save(session("huge", { updated: 4, ...filled(20000) })), "full");
  assert.deepEqual(
    shelf.load().sessions.map(({ id }) => id),
    ["next", "new"],
  );
});

test("without a storage nothing is kept, and nothing fails", () => {
  const shelf = new Shelf(null);
  assert.equal(shelf.save(session("a")), "full");
  assert.deepEqual(shelf.load(), { sessions: [], damaged: 0 });
  shelf.remove("a");
  shelf.clear();
});
