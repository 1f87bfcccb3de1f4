// The module against a router on simulated model servers, at SMART_ROUTER_URL: see tests/client/test_js.py.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Attachment, Client, RouterRefused, StreamBroken, UnknownSession } from "../smart-router.js";

const QUERY = "Write a Python function to sort a list";
const client = new Client();
const PIXEL = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==",
  "base64",
);

test("a conversation: at once, streamed, seen and ended", async () => {
  const talk = client.session();
  const first = await talk.route(QUERY);
  assert.deepEqual([first.use_case, first.reason, first.new_session], ["agent", "classified", true]);
  const stream = await talk.stream("Add error handling to that function", { max_tokens: 50 });
  assert.deepEqual([stream.decision.session_id, stream.decision.bypass_used], [first.session_id, true]);
  let text = "";
  for await (const word of stream) text += word;
  assert.equal(text, stream.answer.result);
  assert.match(text, /You said: Add error handling to that function\. \(2 earlier messages\)/);
  assert.equal((await talk.info()).request_count, 2);
  assert.equal((await talk.classify("make it shorter")).session_id, talk.id);
  const { id } = talk;
  await talk.end();
  await assert.rejects(client.sessionInfo(id), UnknownSession);
});

test("sessions are listed, pinned and unpinned", async () => {
  const talk = client.session();
  await talk.route(QUERY);
  const page = await client.sessions({ limit: 1 });
  assert.equal(page.sessions.length, 1);
  if (page.next_cursor) assert.ok(Array.isArray((await client.sessions({ cursor: page.next_cursor })).sessions));
  assert.equal((await talk.update({ use_case: "multimodal" })).pinned, true);
  assert.equal((await talk.route(QUERY)).use_case, "multimodal");
  assert.equal((await talk.update({ use_case: null })).pinned, false);
});

test("an attached picture decides", async () => {
  const answer = await client.route("What is in this?", { attachments: [Attachment.fromBytes(PIXEL, "image/png")] });
  assert.deepEqual([answer.use_case, answer.reason], ["multimodal", "modality"]);
});

test("a decision is seen without an answer", async () => {
  const told = await client.classify("Read this text aloud in a warm female voice: good evening");
  assert.deepEqual([told.use_case, told.scores.tts > 0.5], ["tts", true]);
});

test("what there is, is told", async () => {
  assert.equal((await client.useCases())[0].id, "agent");
  assert.equal((await client.models())[0].id, "auto");
  assert.ok((await client.stats()).total_requests > 0);
  assert.ok(["healthy", "degraded"].includes((await client.health()).status));
  assert.deepEqual(await client.call("GET", "/livez"), { status: "alive" });
});

test("a refusal names its code and what would be right", async () => {
  const asked = client.route(QUERY, { use_case: "nope" });
  await assert.rejects(asked, (error) => error instanceof RouterRefused && error.code === "unknown_use_case");
  await assert.rejects(client.stream(" "), /query: is empty; say what you want/);
});

test("a model server that breaks in the middle leaves what had come", { skip: !process.env.AGENT_URL }, async () => {
  await simulate({ fault: "reset-mid-stream", count: 1 });
  const stream = await client.stream(QUERY);
  await assert.rejects(
    async () => {
      for await (const _ of stream);
    },
    (error) => error instanceof StreamBroken && error.textSoFar !== "" && error.refusal.code.startsWith("upstream_"),
  );
});

test("leaving a stream stops the model", { skip: !process.env.AGENT_URL }, async () => {
  await simulate({ fault: "never-ends", count: 1 });
  for await (const _ of await client.stream(QUERY)) break;
  while ((await running()) > 0) await new Promise((resolve) => setTimeout(resolve, 20));
});

async function simulate(fault) {
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(`${process.env.AGENT_URL}/simulate/faults`, {
    method: "POST",
    headers,
    body: JSON.stringify(fault),
  });
  assert.ok(response.ok);
}

async function running() {
  const metrics = await (await fetch(`${process.env.AGENT_URL}/metrics`)).text();
  return Number(/^vllm:num_requests_running{[^}]*} (\S+)$/m.exec(metrics)[1]);
}
