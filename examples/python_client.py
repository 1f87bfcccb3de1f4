"""
The Python client: a conversation, at once and word by word, with what the router decided.

    python examples/python_client.py            # SMART_ROUTER_URL and API_KEY, if the router is not here or wants a key
"""

import sys

from smart_router.client import Client, ClientError

with Client() as client:
    talk = client.session()  # remembers the session's id from the first answer
    try:
        answer = talk.route("Write a Python function to sort a list")
        print(answer.result)
        print(f"-> {answer.use_case} ({answer.reason}, confidence {answer.confidence:.2f}) on {answer.selected_model}")

        with talk.stream("Add error handling to that function") as stream:
            for word in stream:
                print(word, end="", flush=True)
        print(
            f"\n-> {stream.decision.use_case} ({'bypass' if stream.decision.bypass_used else stream.decision.reason})"
        )

        talk.end()  # or it ends by itself, after half an hour without a turn
    except ClientError as exc:  # says what happened, and what to do
        sys.exit(f"{type(exc).__name__}: {exc}")
