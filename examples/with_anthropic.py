"""
Anthropic's SDK, unmodified: only its address, and a header for the session.

    pip install anthropic && python examples/with_anthropic.py
"""

import os
import uuid

from anthropic import Anthropic

client = Anthropic(
    base_url=os.environ.get("SMART_ROUTER_URL", "http://localhost:8001"),  # without /v1, which this SDK adds itself
    api_key=os.environ.get("API_KEY", "none"),
    default_headers={"X-Session-ID": str(uuid.uuid4())},  # one for each conversation
)
messages = [{"role": "user", "content": "Write a Python function to sort a list"}]
answer = client.messages.create(model="auto", max_tokens=200, messages=messages)
text = "".join(block.text for block in answer.content if block.type == "text")
print(text)

messages.append({"role": "assistant", "content": text})
messages.append({"role": "user", "content": "Add error handling to that function"})
with client.messages.stream(model="auto", max_tokens=200, messages=messages) as stream:
    for word in stream.text_stream:
        print(word, end="", flush=True)
    print(f"\n-> {stream.response.headers['X-Route-Use-Case']} (bypass: {stream.response.headers['X-Route-Bypass']})")
