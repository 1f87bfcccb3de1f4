// Against a fake on a raw socket. Against a real router: tests/client/test_js.py.

import assert from "node:assert/strict";
import { mkdtemp, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import {
  Attachment,
  BadInput,
  Client,
  ClientError,
  NotARouter,
  pauseS,
  RouterRefused,
  RouterUnreachable,
  StreamBroken,
  UnknownSession,
} from "../smart-router.js";
import {
  answer, DECISION, delta, DONE, END, event, Fake, HANG_UP, html, RECORD, refusal, RESET, ROUTE, STALL, streamed,
} from "../testing/fake.js"; // prettier-ignore

let fake;
before(async () => {
  for (const name of ["SMART_ROUTER_URL", "API_KEY"]) delete process.env[name];
  fake = await Fake.start();
});
after(() => fake.close());

const client = (options) => new Client({ url: fake.url, ...options });
const words = async (stream) => {
  const seen = [];
  for await (const word of stream) seen.push(word);
  return seen;
};
/** The error, which must be of this kind and say so. */
const refused = async (promise, kind, said) => {
  const error = await promise.then(
    () => assert.fail("nothing went wrong"),
    (caught) => caught,
  );
  assert.ok(error instanceof kind, `${error.stack}`);
  assert.match(error.message, said);
  return error;
};

// what is asked and answered

test("a query is sent with its fields and its key, and answered", async () => {
  fake.tell(answer(200, { ...RECORD, moon: "full" }));
  const told = await client({ key: " sk-1\n" }).route("q", { session_id: "s", max_tokens: 3, use_case: null });
  assert.deepEqual([told.result, told.usage.total_tokens, told.moon], ["Hello", 7, "full"]);
  const [request] = fake.requests;
  assert.deepEqual(request.body, { query: "q", session_id: "s", max_tokens: 3 });
  assert.match(request.head, /authorization: Bearer sk-1\r\n/i);
});

test("a stream tells its decision, then its words, then the answer", async () => {
  const later = event("mood", {});
  fake.tell([streamed(": waiting\n\n", ROUTE, later, delta("Grü"), delta("ße 🎉"), DONE, later), END]);
  const stream = await client().stream("q");
  assert.equal(stream.decision.session_id, "s-1");
  assert.equal(stream.answer, undefined);
  assert.deepEqual(await words(stream), ["Grü", "ße 🎉"]);
  assert.deepEqual([stream.answer.result, stream.answer.finish_reason, stream.text], ["Grüße 🎉", "stop", "Grüße 🎉"]);
  assert.deepEqual(fake.requests[0].body, { query: "q", stream: true });
});

test("any cut of a stream's bytes gives the same words", async () => {
  const whole = Buffer.from(`: m\r\n\r\n${ROUTE}${delta("a\n\ndata: b")}${delta("日本🎉")}${DONE}`);
  for (let size = 1; size < 9; size += 1) {
    const pieces = [];
    for (let at = 0; at < whole.length; at += size) pieces.push(whole.subarray(at, at + size));
    const body = new ReadableStream({
      start(controller) {
        pieces.forEach((piece) => controller.enqueue(new Uint8Array(piece)));
        controller.close();
      },
    });
    const fetch = async () => new Response(body, { headers: { "Content-Type": "text/event-stream; charset=utf-8" } });
    const stream = await client({ fetch }).stream("q");
    assert.deepEqual(await words(stream), ["a\n\ndata: b", "日本🎉"]);
  }
});

test("a conversation remembers its session", async () => {
  fake.tell(
    answer(200, RECORD),
    [streamed(ROUTE, DONE), END, HANG_UP],
    refusal(404, "unknown_session"),
    answer(200, RECORD),
  );
  const talk = client().session();
  await refused(talk.info(), BadInput, /no session yet/);
  await talk.route("one");
  assert.deepEqual(await words(await talk.stream("two")), []);
  assert.deepEqual([talk.id, talk.turns, talk.beganAnew], ["s-1", 2, true]); // the fake calls every session new
  await refused(talk.info(), UnknownSession, /no room/);
  await talk.route("three");
  assert.deepEqual(
    fake.requests.map(({ body }) => body?.session_id),
    [undefined, "s-1", undefined, "s-1"],
  );
  await refused(talk.route("q", { session_id: "other" }), BadInput, /session_id: a conversation has its own/);
  fake.tell(refusal(404, "unknown_session"));
  await talk.end();
  assert.deepEqual([talk.id, talk.turns], [undefined, 0]);
});

test("sessions are listed, changed and ended", async () => {
  fake.tell(answer(200, { sessions: [{ session_id: "a b" }], next_cursor: "n/1" }));
  assert.equal((await client().sessions({ cursor: "c&", limit: 2 })).next_cursor, "n/1");
  assert.equal(fake.requests[0].path, "/sessions?limit=2&cursor=c%26");
  fake.tell(answer(200, { session_id: "a b", pinned: true }));
  assert.equal((await client().updateSession("a b", { use_case: "agent" })).pinned, true);
  await client().endSession("a b");
  const [changed, ended] = fake.requests;
  assert.deepEqual([changed.method, changed.path, changed.body], ["PATCH", "/sessions/a%20b", { use_case: "agent" }]);
  assert.deepEqual([ended.method, ended.path], ["DELETE", "/sessions/a%20b"]);
});

test("what cannot be sent is refused here", async () => {
  fake.tell(STALL);
  await refused(client().route("q", { sesion_id: "s" }), BadInput, /sesion_id: no such option; there are session_id/);
  const context = {};
  context.self = context;
  await refused(client().route("q", { context }), BadInput, /cannot be sent as JSON/);
  await refused(client().sessionInfo(""), BadInput, /is no id/);
  await refused(client().call("GET", "livez"), BadInput, /begins with \//);
  for (const url of ["localhost:8001", "ftp://h", "http://", "http://a b", "http://h?x=1"]) {
    assert.throws(() => new Client({ url }), { name: "BadInput", message: /^url: / }, url);
  }
  assert.throws(
    () => new Client({ key: "sk-größe" }),
    (error) => error instanceof BadInput && !/sk-/.test(error.message),
  );
  assert.throws(() => new Client({ timeoutMs: 0 }), BadInput);
  assert.throws(() => new Client({ retries: -1 }), BadInput);
  assert.equal(fake.requests.length, 0);
});

test("an address with a password is refused and not told", async () => {
  assert.throws(
    () => new Client({ url: "http://somebody:hunter2@localhost" }),
    (error) => error instanceof BadInput && /a password in it/.test(error.message) && !/hunter2/.test(error.message),
  );
});

test("words without an end are given up", async () => {
  const word = delta("x".repeat(8 * 1024 * 1024 - 100));
  fake.tell([streamed(ROUTE, ...Array(10).fill(word)), STALL]);
  const stream = await client().stream("q");
  const error = await refused(words(stream), StreamBroken, /more than 67108864 characters/);
  assert.ok(error.textSoFar.length <= 64 * 1024 * 1024);
  await fake.left();
});

test("files are attached, and what is none is named", async () => {
  const folder = await mkdtemp(join(tmpdir(), "attach-"));
  await writeFile(join(folder, "a.PNG"), Buffer.alloc(70_000, 7));
  const made = await Attachment.fromFile(join(folder, "a.PNG"));
  assert.deepEqual([made.type, made.media_type], ["image", "image/png"]);
  assert.deepEqual(Buffer.from(made.data, "base64"), Buffer.alloc(70_000, 7));
  await writeFile(join(folder, "b.wav"), "");
  await refused(Attachment.fromFile(join(folder, "b.wav")), BadInput, /b\.wav: is empty/);
  await refused(Attachment.fromFile(join(folder, "c.wav")), BadInput, /c\.wav: cannot be read/);
  await refused(Attachment.fromFile(join(folder, "d.txt")), BadInput, /is no image, recording or film by its ending/);
  await refused(Attachment.fromFile(join(folder, "a.PNG"), { mostBytes: 9 }), BadInput, /has 70000 bytes, at most 9/);
  const recorded = await Attachment.fromBlob(new Blob(["x"], { type: "audio/webm;codecs=opus" }));
  assert.deepEqual({ ...recorded }, { type: "audio", media_type: "audio/webm", data: "eA==" });
  await refused(Attachment.fromBlob(new Blob(["x"])), BadInput, /its type "" cannot be attached/);
  assert.equal(Attachment.fromUrl("https://e.org/a", "video").type, "video");
  assert.throws(() => Attachment.fromUrl("a.png", "image"), BadInput);
  assert.throws(() => Attachment.fromUrl("https://e.org", "pdf"), BadInput);
});

// who answers

const STRANGERS = [
  [html(200), /answered without JSON/],
  [html(404), /answered 404 with text\/html, which no smart-router does; is that/],
  [html(502), /a proxy in front of it may find no router/],
  [html(401), /may want a login/],
  [answer(301, "", { Location: "https://there.example/" }), /leads on to https:\/\/there\.example\//],
  [answer(200, { object: "list" }), /\(no use_case, .*\): it is no smart-router, or one of another version/],
  [answer(200, "null"), /another version/],
  [["-ERR unknown command\r\n\r\n", HANG_UP], /something that is no HTTP/],
];
for (const [said, why] of STRANGERS) {
  test(`whoever is no router is called so: ${why}`, async () => {
    fake.tell(said);
    await refused(client().route("q"), NotARouter, why);
    await refused(client().stream("q"), NotARouter, /./);
    assert.equal(fake.requests.length, 2);
  });
}

test("no server is said with what to do", async () => {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}`;
  await new Promise((resolve) => server.close(resolve));
  const error = await refused(
    new Client({ url, retries: 0 }).route("q"),
    RouterUnreachable,
    /no router at http.*ECONNREFUSED/,
  );
  assert.deepEqual([error.asked, error instanceof NotARouter], [false, false]);
});

test("a browser that does not say why is told of both", async () => {
  const fetch = async () => {
    throw new TypeError("Failed to fetch");
  };
  const error = await refused(client({ fetch }).route("q"), RouterUnreachable, /CORS_ORIGINS/);
  assert.equal(error.asked, true);
});

test("a wrong key is told from a missing one", async () => {
  fake.tell(refusal(401, "unauthorized"));
  const error = await refused(client().route("q"), RouterRefused, /no room; give a key, or set API_KEY/);
  assert.deepEqual([error.status, error.code, error.said, error.requestId], [401, "unauthorized", "no room", "r-1"]);
  await refused(client({ key: "sk-1" }).route("q"), RouterRefused, /the key given/);
  fake.tell(answer(401, { error: { message: "no key", code: "unauthorized" } })); // OpenAI's envelope
  await refused(client().models(), RouterRefused, /no key; give a key/);
});

// again, and not again

test("who is told to come back comes back", async () => {
  fake.tell(refusal(503, "overloaded", { "Retry-After": 0 }), html(429, { "Retry-After": 0 }), answer(200, RECORD));
  assert.equal((await client().route("q")).result, "Hello");
  assert.equal(fake.requests.length, 3);
});

test("who is refused too often gives up", async () => {
  fake.tell(refusal(503, "overloaded", { "Retry-After": 0 }));
  const error = await refused(client({ retries: 1 }).route("q"), RouterRefused, /no room; try again in 0 s/);
  assert.deepEqual([error.retryAfterS, fake.requests.length], [0, 2]);
});

test("pauses grow, are drawn, and keep to what is asked for and to the deadline", () => {
  const at = { retry: 0, leftS: 1000, repeatable: false, draw: 1 };
  const nobody = new RouterUnreachable("nobody");
  const lost = new RouterUnreachable("lost", { asked: true });
  const busy = (status, retryAfterS) => new RouterRefused(status, "c", "m", { retryAfterS });
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5].map((retry) => pauseS(nobody, { ...at, retry })),
    [0.5, 1, 2, 4, 8, 8],
  );
  assert.equal(pauseS(nobody, { ...at, draw: 0 }), 0);
  assert.equal(pauseS(busy(429, 7), at), 7.5);
  assert.equal(pauseS(busy(503, 61), at), null);
  assert.equal(pauseS(busy(503, 7), { ...at, leftS: 7 }), null);
  assert.equal(pauseS(new NotARouter("proxy", { status: 503 }), at), 0.5);
  for (const error of [
    lost,
    busy(500, 0),
    busy(404),
    new NotARouter("html"),
    new StreamBroken("b", ""),
    new TypeError(),
  ]) {
    assert.equal(pauseS(error, at), null, error.message);
  }
  assert.equal(pauseS(lost, { ...at, repeatable: true }), 0.5);
});

for (const step of [HANG_UP, RESET]) {
  test(`who may have been asked is not asked twice: ${step.description}`, async () => {
    fake.tell([step]);
    const error = await refused(client().route("q"), RouterUnreachable, /it may or may not have been asked/);
    assert.deepEqual([error.asked, fake.requests.length], [true, 1]);
  });

  test(`a broken stream keeps what had come: ${step.description}`, async () => {
    fake.tell([streamed(ROUTE, delta("Hel"), delta("lo")), STALL]);
    const stream = await client().stream("q");
    const seen = [];
    const error = await refused(
      (async () => {
        for await (const word of stream) {
          seen.push(word);
          if (seen.length === 2) await fake.cut(step);
        }
      })(),
      StreamBroken,
      /after 5 characters, which are kept in textSoFar \(.*\); ask again/,
    );
    assert.deepEqual(
      [seen.join(""), error.textSoFar, error.refusal, fake.requests.length],
      ["Hello", "Hello", undefined, 1],
    );
  });
}

test("an answer cut in the middle is not asked for again", async () => {
  fake.tell([answer(200, RECORD)[0].slice(0, -9), HANG_UP]);
  await refused(client().route("q"), StreamBroken, /broke off/);
  await refused(client().stats(), StreamBroken, /broke off/);
  assert.equal(fake.requests.length, 2);
});

test("a stream that the router ends says why, after its words", async () => {
  const failed = { success: false, error_message: "the model broke", error_code: "upstream_broke" };
  fake.tell([streamed(ROUTE, delta("Hello") + event("error", failed)), END]);
  const stream = await client().stream("q");
  const error = await refused(words(stream), StreamBroken, /the model broke/);
  assert.deepEqual([error.textSoFar, error.refusal.code], ["Hello", "upstream_broke"]);
  fake.tell([streamed(": waiting\n\n", event("error", failed)), END]);
  const told = await refused(client().stream("q"), RouterRefused, /the model broke/);
  assert.deepEqual([told.status, fake.requests.length], [200, 1]);
});

const NONSENSE = [
  [delta("words")],
  [event("route", {})],
  [ROUTE, "data: {oops\n\n"],
  [ROUTE, event("done", {})],
  [ROUTE],
];
for (const [i, events] of NONSENSE.entries()) {
  test(`a stream that makes no sense is not believed: ${i}`, async () => {
    fake.tell([streamed(...events), END]);
    await refused(client().stream("q").then(words), ClientError, /./);
  });
}

// time, and leaving

test("a slow first byte ends with the deadline", async () => {
  fake.tell([STALL]);
  const error = await refused(client({ timeoutMs: 100 }).route("q"), RouterUnreachable, /did not answer within 0\.1 s/);
  assert.equal(error.asked, true);
  await fake.left();
});

/** Does it with longer and longer deadlines, until one was long enough for the stream to begin. */
const inTime = async (attempt) => {
  for (const timeoutMs of [100, 500, 2_500, 12_500]) {
    const stream = await client({ timeoutMs, retries: 0 })
      .stream("q")
      .catch((error) => error);
    if (stream instanceof RouterUnreachable) continue;
    return attempt(stream, timeoutMs);
  }
  return assert.fail("the stream does not begin");
};

test("a stream may be silent for so long", async () => {
  fake.tell([streamed(ROUTE, delta("Hello")), STALL]);
  await inTime(async (stream, timeoutMs) => {
    const error = await refused(words(stream), StreamBroken, new RegExp(`it said nothing for ${timeoutMs / 1000} s`));
    assert.equal(error.textSoFar, "Hello");
  });
  await fake.left();
});

test("whoever reads slowly is not the one who is silent", async () => {
  fake.tell([streamed(ROUTE, delta("Hel"), delta("lo"), DONE), END]);
  await inTime(async (stream, timeoutMs) => {
    await new Promise((resolve) => setTimeout(resolve, 2 * timeoutMs));
    assert.equal((await words(stream)).join(""), "Hello");
  });
});

test("leaving the loop, and closing, hang up", async () => {
  fake.tell([streamed(ROUTE, delta("Hel"), delta("lo")), STALL]);
  for await (const word of await client().stream("q")) {
    assert.equal(word, "Hel");
    break;
  }
  await fake.left();
  const stream = await client().stream("q");
  stream.close();
  await fake.left();
  assert.deepEqual(await words(stream), []);
});

test("whoever aborts gets his own reason, and hangs up", async () => {
  const reason = new Error("changed my mind");
  const aborting = new AbortController();
  fake.tell([STALL]);
  const asked = client().route("q", {}, { signal: aborting.signal });
  while (fake.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  aborting.abort(reason);
  await assert.rejects(asked, reason);
  await fake.left();
  await assert.rejects(client().route("q", {}, { signal: aborting.signal }), reason);

  const later = new AbortController();
  fake.tell([streamed(ROUTE, delta("Hel") + delta("lo")), STALL]);
  const stream = await client().stream("q", {}, { signal: later.signal });
  await assert.rejects(async () => {
    let words = 0;
    for await (const _ of stream) {
      assert.equal((words += 1), 1); // none that waited comes after it
      later.abort(reason);
    }
  }, reason);
  await fake.left();

  const silent = new Response(new ReadableStream(), { headers: { "Content-Type": "text/event-stream" } });
  const never = new AbortController(); // of a body that never hears of it
  const read = client({ fetch: async () => silent }).stream("q", {}, { signal: never.signal });
  setTimeout(() => never.abort(reason), 20);
  await assert.rejects(read, reason);

  const pausing = new AbortController();
  fake.tell(refusal(503, "overloaded", { "Retry-After": 50 }));
  const waiting = client().route("q", {}, { signal: pausing.signal });
  while (fake.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  setTimeout(() => pausing.abort(reason), 50);
  await assert.rejects(waiting, reason);
});
