import assert from "node:assert/strict";
import { test } from "node:test";
import { because, ranked, reasonLabel, unlikely } from "../../../src/smart_router/web/static/explaining.js";
import { ago, clock, duration, firstWords, percent, shortModel } from "../../../src/smart_router/web/static/format.js";
import { languageOf } from "../../../src/smart_router/web/static/language.js";
import { liveNumbers, moodOf } from "../../../src/smart_router/web/static/live_numbers.js";
import { routeBody, sizeOf } from "../../../src/smart_router/web/static/request_body.js";
import { readFile } from "../../../src/smart_router/web/static/reading_files.js";
import { brokenOff, refusal } from "../../../src/smart_router/web/static/trouble.js";
import { wavOf } from "../../../src/smart_router/web/static/wav.js";

const plain = (text) => text.replaceAll(/[\u00a0\u202f]/g, " ");
const none = () => null;

test("numbers are shown as people read them", () => {
  assert.deepEqual(
    [0.00042, 0.0062, 0.41, 1.236, 12.34, 75, undefined, -1].map((s) => plain(duration(s))),
    ["0.42 ms", "6.2 ms", "410 ms", "1.24 s", "12.3 s", "1 min 15 s", "—", "—"],
  );
  assert.deepEqual(
    [0, 0.004, 0.5, 1, null].map((p) => plain(percent(p))),
    ["0 %", "< 1 %", "50 %", "100 %", "—"],
  );
  assert.deepEqual([clock(7), clock(65), shortModel("a/b/c"), shortModel("c/")], ["0:07", "1:05", "c", "c/"]);
  assert.deepEqual([ago(0, 30_000), ago(0, 300_000), ago(0, 7_200_000)], ["just now", "5 min", "2 h"]);
  assert.equal(firstWords("  one\n two three ", 9), "one two…");
  assert.equal([...firstWords("😀".repeat(60), 48)].length, 49);
});

test("languages are told by their letters", () => {
  const texts = [
    "नमस्ते",
    "வணக்கம்",
    "నమస్కారం",
    "নমস্কার",
    "નમસ્તે",
    "ನಮಸ್ಕಾರ",
    "നമസ്കാരം",
    "ਸਤ ਸ੍ਰੀ ਅਕਾਲ",
    "سلام",
    "Hello नम",
    "123",
  ];
  assert.deepEqual(texts.map(languageOf), ["hi", "ta", "te", "bn", "gu", "kn", "ml", "pa", "ur", null, null]);
});

test("a refusal keeps the router's words", () => {
  const body = JSON.stringify({
    success: false,
    error_message: "all replicas are busy",
    error_code: "overloaded",
    request_id: "r1",
  });
  const trouble = refusal(503, body, (name) => (name === "retry-after" ? "7" : null), true);
  assert.deepEqual(
    [trouble.kind, trouble.advice, trouble.waitS, trouble.requestId],
    ["wait", "All replicas are busy.", 7, "r1"],
  );
  assert.match(refusal(401, body, none, false).title, /asks for a key/);
  assert.match(refusal(401, body, none, true).title, /does not know this key/);
  assert.match(
    refusal(404, '{"error": {"message": "no such thing", "code": "x"}}', none, true).advice,
    /No such thing\./,
  );
  assert.match(brokenOff("nonsense").message, /said nothing more/);
});

test("a failure is said of the part that failed", () => {
  const title = (status, code) =>
    refusal(status, JSON.stringify({ error_message: "m", error_code: code }), none, true).title;
  assert.match(title(503, "no_model_available"), /No model can answer/);
  assert.match(title(503, "store_unavailable"), /sessions/);
  assert.match(title(500, "internal_error"), /router itself/);
  assert.match(title(502, "upstream_broke"), /model server/);
});

test("a file is what its ending says only where that says something", async () => {
  for (const name of ["notes.txt", "constructor", "a.valueOf", ""])
    await assert.rejects(readFile({ name, type: "", size: 1 }, 1000), /is not a picture, a sound or a video/);
});

test("a Retry-After may be a date, and is never for ever", () => {
  const after = (value) =>
    refusal(429, '{"error_message": "x"}', (name) => (name === "retry-after" ? value : null), true).waitS;
  assert.ok(after(new Date(Date.now() + 30_000).toUTCString()) <= 31);
  assert.deepEqual([after("999999"), after("soon"), after(null)], [3600, null, null]);
});

test("what is not the router's is said to be that", () => {
  for (const body of ["<html>", "", "null", "[]", '"x"', '{"a": 1}'])
    assert.match(
      refusal(502, body, (n) => (n === "content-type" ? "text/html" : null), true).title,
      /Something other than the router/,
    );
});

test("decisions are explained in a sentence", () => {
  const reasons = [
    "explicit",
    "modality",
    "session",
    "classified",
    "switched",
    "fallback",
    "degraded",
    "magic",
    undefined,
  ];
  for (const reason of reasons)
    assert.match(because({ use_case: "agent", reason, confidence: 0.9 }, null), /^[A-Z].*\.$/s);
  assert.equal(reasonLabel({ reason: "magic" }), "magic");
  assert.deepEqual(ranked({ a: 0.2, b: 0.7, c: 0.001, d: "x" }), [
    ["b", 0.7],
    ["a", 0.2],
  ]);
  assert.deepEqual(unlikely({ a: 0.2, b: 0.7, c: 0.001 }), ["c"]);
});

test("statistics of any shape are read", () => {
  for (const odd of [{}, { use_cases: [], models: 3, model_states: "x" }, { use_cases: { a: null } }])
    assert.equal(liveNumbers(odd, null).bypassRate, null);
  const health = {
    model_endpoints: {
      g: {
        replicas: [
          { model: "m", status: "unhealthy", trouble: "gone" },
          { model: "m", status: "healthy", in_flight: 2 },
        ],
      },
    },
  };
  assert.deepEqual(liveNumbers({}, health).models, [
    { id: "m", state: "healthy", inFlight: 2, waiting: 0, trouble: "" },
  ]);
  const down = { model_endpoints: { g: { replicas: [{ model: "m", status: "unhealthy", trouble: "gone" }] } } };
  assert.equal(liveNumbers({ model_states: { m: { state: "awake" } } }, down).models[0].state, "unhealthy");
  assert.deepEqual(["awake", "sleeping", "failed", "odd"].map(moodOf), ["good", "rest", "bad", "unknown"]);
});

test("a request holds what was chosen and no more", () => {
  assert.deepEqual(routeBody({ query: "q", sessionId: null, attachments: [], choice: "", fields: {}, stream: false }), {
    query: "q",
  });
  const attachments = [
    { kind: "audio", data: "QQ==", mediaType: "audio/wav", url: null },
    { kind: "image", url: "https://a.b/c" },
  ];
  const body = routeBody({
    query: "q",
    sessionId: "s",
    attachments,
    choice: "stt",
    fields: { max_tokens: 5 },
    stream: true,
  });
  assert.deepEqual(body.attachments, [
    { type: "audio", data: "QQ==", media_type: "audio/wav" },
    { type: "image", url: "https://a.b/c" },
  ]);
  assert.ok(sizeOf(body) >= JSON.stringify(body).length - 60);
});

test("sound becomes a WAV file", () => {
  const wav = new DataView(wavOf(new Float32Array([0, 1, -2]), 16_000));
  assert.deepEqual(
    [wav.byteLength, wav.getUint32(24, true), wav.getInt16(46, true), wav.getInt16(48, true)],
    [50, 16_000, 32767, -32767],
  );
});
