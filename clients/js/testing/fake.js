// A server on a raw socket, which answers byte for byte what a test told it to.

import { createServer } from "node:net";

export const HANG_UP = Symbol("close the connection");
export const RESET = Symbol("break it");
export const STALL = Symbol("say nothing more");

export class Fake {
  requests = [];
  #scripts = [];
  #sockets = new Set();
  #stalled = new Set();
  #server = createServer((socket) => this.#serve(socket));

  static async start() {
    const fake = new Fake();
    await new Promise((resolve) => fake.#server.listen(0, "127.0.0.1", resolve));
    return fake;
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** Each request gets the next script, and all that follow the last. */
  tell(...scripts) {
    this.requests = [];
    this.#scripts = scripts.map((script) => [script].flat());
  }

  /** Once nobody waits in vain. */
  async left() {
    while (this.#stalled.size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  /** Now, with whoever is there. */
  async cut(how) {
    for (const socket of this.#sockets) how === RESET ? socket.resetAndDestroy() : socket.end();
  }

  async close() {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(socket) {
    let came = "";
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket) && this.#stalled.delete(socket));
    socket.on("error", () => {});
    socket.on("data", (data) => {
      came += data.toString("latin1");
      const [head, body] = came.split("\r\n\r\n");
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      if (body === undefined || body.length < length) return;
      const [method, path] = head.split(" ");
      this.requests.push({ method, path, head, body: body && JSON.parse(Buffer.from(body, "latin1").toString()) });
      came = "";
      this.#answer(socket);
    });
  }

  #answer(socket) {
    const script = this.#scripts.length > 1 ? this.#scripts.shift() : this.#scripts[0];
    for (const step of script) {
      if (step === HANG_UP) socket.end();
      else if (step === RESET) socket.resetAndDestroy();
      else if (step === STALL) this.#stalled.add(socket);
      else socket.write(step);
    }
  }
}

export function answer(status, body, headers = {}) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const all = { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text), Connection: "close" };
  const lines = Object.entries({ ...all, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return [`HTTP/1.1 ${status} X\r\n${lines.join("")}\r\n${text}`, HANG_UP];
}

export const html = (status, headers) =>
  answer(status, "<h1>Bad Gateway</h1>", { "Content-Type": "text/html", ...headers });

export const refusal = (status, code = "overloaded", headers = {}) =>
  answer(status, { success: false, error_message: "no room", error_code: code, request_id: "r-1" }, headers);

export const DECISION = { use_case: "agent", selected_model: "m", session_id: "s-1", new_session: true };
export const RECORD = { ...DECISION, success: true, result: "Hello", usage: { total_tokens: 7 } };

export const event = (name, data) => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
export const delta = (text) => `data: ${JSON.stringify({ delta: text })}\n\n`;
export const ROUTE = event("route", DECISION);
export const DONE = event("done", { ...DECISION, usage: { total_tokens: 7 }, finish_reason: "stop" });
export const END = "0\r\n\r\n";

const chunk = (data) => `${Buffer.byteLength(data).toString(16)}\r\n${data}\r\n`;
export const streamed = (...events) =>
  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" +
  events.map(chunk).join("");
