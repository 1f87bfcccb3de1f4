"""
Without a client of ours: plain HTTP with `requests`.

    pip install requests && python examples/with_requests.py
"""

import json
import os
import sys

import requests

URL = os.environ.get("SMART_ROUTER_URL", "http://localhost:8001")
router = requests.Session()
if key := os.environ.get("API_KEY"):
    router.headers["Authorization"] = f"Bearer {key}"

# A first turn: classified. Without a session_id the router makes one.
response = router.post(f"{URL}/route", json={"query": "Write a Python function to sort a list"}, timeout=180)
answer = response.json()
if not response.ok:  # 429 and 503 say in Retry-After when to come back
    sys.exit(f"{response.status_code} {answer['error_code']}: {answer['error_message']}")
print(answer["result"])
print(f"-> {answer['use_case']} ({answer['reason']}) on {answer['selected_model']}")

# A follow-up in the same session, as server-sent events: `event: route`, then deltas, then `event: done` or `error`.
follow_up = {"query": "Add error handling to that function", "session_id": answer["session_id"], "stream": True}
with router.post(f"{URL}/route", json=follow_up, stream=True, timeout=180) as response:
    event = "message"
    for line in response.iter_lines(decode_unicode=True):
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data = json.loads(line.removeprefix("data: "))
            if event == "message":
                print(data["delta"], end="", flush=True)
            elif event == "done":
                print(f"\n-> {data['use_case']} ({'bypass' if data['bypass_used'] else data['reason']})")
            elif event == "error":
                sys.exit(f"\n{data['error_code']}: {data['error_message']}")
        elif not line:
            event = "message"
