#!/bin/sh
# Plain HTTP with curl: a turn, a streamed follow-up, a decision alone, the session, and its end.
#
#     sh examples/with_curl.sh          # SMART_ROUTER_URL and API_KEY, if the router is not here or wants a key
set -eu
url=${SMART_ROUTER_URL:-http://localhost:8001}
session=curl-$$

# -N: show a stream as it comes. --fail-with-body: an exit code for errors, whose JSON says what to do.
ask() {
  curl -sS -N --fail-with-body -H "Authorization: Bearer ${API_KEY:-none}" -H 'Content-Type: application/json' "$@"
  echo
}

ask "$url/route" -d "{\"query\": \"Write a Python function to sort a list\", \"session_id\": \"$session\"}"
ask "$url/route" -d "{\"query\": \"Add error handling to that function\", \"session_id\": \"$session\", \"stream\": true}"
ask "$url/classify" -d '{"query": "What does this sign say?", "modality": "image"}'
ask "$url/sessions/$session"
ask -X DELETE "$url/sessions/$session"
