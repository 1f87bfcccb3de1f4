// The JavaScript client, in Node 18 or later:
//
//     node examples/javascript_client.js       # SMART_ROUTER_URL and API_KEY, if the router is not here or wants a key
//
// In a browser it is the same, with `new Client({ url, key })`; the router's CORS_ORIGINS must name the page's origin.

import { Client, ClientError } from "../clients/js/smart-router.js";

const talk = new Client().session(); // remembers the session's id from the first answer
try {
  const answer = await talk.route("Write a Python function to sort a list");
  console.log(answer.result);
  console.log(`-> ${answer.use_case} (${answer.reason}) on ${answer.selected_model}`);

  const stream = await talk.stream("Add error handling to that function");
  for await (const word of stream) process.stdout.write(word);
  console.log(`\n-> ${stream.decision.use_case} (${stream.decision.bypass_used ? "bypass" : stream.decision.reason})`);

  await talk.end();
} catch (error) {
  if (!(error instanceof ClientError)) throw error;
  console.error(`${error.name}: ${error.message}`); // says what happened, and what to do
  process.exitCode = 1;
}
