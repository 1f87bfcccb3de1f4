"""
OpenAI's SDK, unmodified: only its address, and a header for the session.

    pip install openai && python examples/with_openai.py
"""

import os
import uuid

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("SMART_ROUTER_URL", "http://localhost:8001") + "/v1",
    api_key=os.environ.get("API_KEY", "none"),  # the SDK wants one, even where the router does not
    default_headers={"X-Session-ID": str(uuid.uuid4())},  # one for each conversation
)
# `auto`: the words and media of the turn decide. A use case or a model's id can be named instead.
messages = [{"role": "user", "content": "Write a Python function to sort a list"}]
raw = client.chat.completions.with_raw_response.create(model="auto", messages=messages)
answer = raw.parse().choices[0].message.content
print(answer)
print(f"-> {raw.headers['X-Route-Use-Case']} ({raw.headers['X-Route-Reason']}) on {raw.headers['X-Route-Model']}")

messages.append({"role": "assistant", "content": answer})
messages.append({"role": "user", "content": "Add error handling to that function"})
with client.chat.completions.with_streaming_response.create(model="auto", messages=messages, stream=True) as raw:
    for chunk in raw.parse():
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    print(f"\n-> {raw.headers['X-Route-Use-Case']} (bypass: {raw.headers['X-Route-Bypass']})")
