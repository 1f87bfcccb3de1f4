"""POST /route: what comes back, plain and streamed."""

import re
import time
from itertools import pairwise
from typing import Any

import pytest

from .asking import FOLLOW_UP, PICTURE, PYTHON, a_session, an_image, joined, names, read_events
from .models import AGENT, Models, texts
from .routers import Router

ROUTE_FIELDS = {
    "success": bool,
    "use_case": str,
    "selected_model": str,
    "confidence": float,
    "routing_time": float,
    "bypass_used": bool,
    "session_id": str,
    "new_session": bool,
    "inference_time": float,
    "total_time": float,
    "reason": str,
    "context_changed": bool,
    "usage": dict,
    "request_id": str,
}


def test_an_answer_has_every_field_in_its_type(router: Router) -> None:
    answer = router.answer(PYTHON, session_id=a_session())
    assert types(answer, ROUTE_FIELDS) == ROUTE_FIELDS
    assert isinstance(answer["result"], str)
    assert answer["success"] is True
    assert 0 < answer["confidence"] <= 1


def test_the_times_are_seconds_that_add_up(embedded_router: Router) -> None:
    started = time.monotonic()
    answer = embedded_router.answer(PYTHON)
    took = time.monotonic() - started
    assert answer["routing_time"] > 0
    assert answer["inference_time"] > 0
    assert answer["routing_time"] + answer["inference_time"] <= answer["total_time"] + 0.001
    assert answer["total_time"] <= took


def test_the_result_is_the_models_words(embedded_router: Router) -> None:
    assert embedded_router.answer(PYTHON)["result"] == f"[simulated {AGENT}] You said: {PYTHON}."


def test_usage_counts_prompt_and_answer(embedded_router: Router) -> None:
    usage = embedded_router.answer(PYTHON)["usage"]
    assert usage["prompt_tokens"] > 0
    assert usage["completion_tokens"] > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_headers_tell_the_decision(router: Router) -> None:
    response = router.route(PYTHON, session_id=a_session())
    answer, headers = response.json(), response.headers
    assert headers["content-type"].partition(";")[0] == "application/json"
    assert headers["x-session-id"] == answer["session_id"]
    assert headers["x-request-id"] == answer["request_id"]
    assert headers["x-route-use-case"] == "agent"
    assert headers["x-route-model"] == AGENT
    assert headers["x-route-reason"] == answer["reason"] == "classified"
    assert headers["x-route-bypass"] == "false"
    assert float(headers["x-route-confidence"]) == pytest.approx(answer["confidence"], abs=0.001)


def test_server_timing_is_in_milliseconds(embedded_router: Router) -> None:
    response = embedded_router.route(PYTHON)
    answer = response.json()
    form = r"routing;dur=(\d+(?:\.\d+)?), inference;dur=(\d+(?:\.\d+)?)"
    found = re.fullmatch(form, response.headers["server-timing"])
    assert found, response.headers["server-timing"]
    assert float(found[1]) == pytest.approx(answer["routing_time"] * 1000, abs=0.1)
    assert float(found[2]) == pytest.approx(answer["inference_time"] * 1000, abs=0.1)


def test_the_header_says_bypass_on_a_follow_up(router: Router) -> None:
    session = a_session()
    router.answer(PYTHON, session_id=session)
    headers = router.route(FOLLOW_UP, session_id=session).headers
    assert headers["x-route-bypass"] == "true"
    assert headers["x-route-reason"] == "session"


def test_request_ids_differ(embedded_router: Router) -> None:
    ids = [embedded_router.answer(PYTHON)["request_id"] for _ in range(5)]
    assert len(set(ids)) == 5


def test_the_model_gets_the_defaults(embedded_router: Router, models: Models) -> None:
    embedded_router.answer(PYTHON)
    (body,) = models.agent.received()
    assert body["model"] == AGENT
    assert body.get("max_tokens", body.get("max_completion_tokens")) == 100
    assert body["temperature"] == 0.7
    assert texts(body)[-1] == ("user", PYTHON)


def test_the_model_gets_what_was_asked_for(embedded_router: Router, models: Models) -> None:
    answer = embedded_router.answer(PYTHON, max_tokens=3, temperature=0)
    (body,) = models.agent.received()
    assert body.get("max_tokens", body.get("max_completion_tokens")) == 3
    assert body["temperature"] == 0
    assert answer["usage"]["completion_tokens"] == 3


def test_the_routers_own_fields_stay_with_the_router(embedded_router: Router, models: Models) -> None:
    context = {"language": "en", "domain": "code", "anything": {"else": [1, None]}}
    embedded_router.answer(PYTHON, session_id=a_session(), user_id="u-1", modality="text", context=context)
    (body,) = models.agent.received()
    own = {"query", "session_id", "user_id", "modality", "context", "attachments", "use_case", "remember"}
    assert not own & body.keys()


@pytest.mark.parametrize("context", [{"language": 5}, {"language": ["hi"]}, {"domain": {}}, {"language": "xx-ödd"}, {}])
def test_an_odd_context_is_never_our_fault(embedded_router: Router, context: dict[str, Any]) -> None:
    assert embedded_router.route(PYTHON, context=context).status_code in (200, 400)


def test_the_query_arrives_unchanged(embedded_router: Router, models: Models) -> None:
    query = 'मुझे पाइथन में "कोड" लिख दो 🙏 \\ </script>\r\n\tdata: x\n\nevent: done'
    answer = embedded_router.answer(query, use_case="agent")
    assert texts(models.agent.received()[-1])[-1] == ("user", query)
    assert query in answer["result"]


def test_a_stream_is_the_decision_then_text_then_the_record(router: Router) -> None:
    response = router.route(PYTHON, session_id=a_session(), stream=True)
    assert response.status_code == 200
    assert response.headers["content-type"].partition(";")[0] == "text/event-stream"
    seen = names(read_events(response.text.split("\n")))
    assert seen[0] == "route"
    assert seen[-1] == "done"
    assert set(seen[1:-1]) == {"message"}
    assert len(seen) > 4


def test_streamed_deltas_joined_are_the_plain_result(router: Router) -> None:
    plain = router.answer(PYTHON, session_id=a_session())
    streamed = read_events(router.route(PYTHON, session_id=a_session(), stream=True).text.split("\n"))
    assert joined(streamed) == plain["result"]


def test_a_delta_event_holds_nothing_but_its_delta(embedded_router: Router) -> None:
    events = read_events(embedded_router.route(PYTHON, stream=True).text.split("\n"))
    assert all(event.data.keys() == {"delta"} for event in events if event.name == "message")


def test_the_route_event_tells_the_decision(embedded_router: Router) -> None:
    session = a_session()
    response = embedded_router.route(PYTHON, session_id=session, stream=True)
    decision = read_events(response.text.split("\n"))[0].data
    assert decision["use_case"] == "agent"
    assert decision["selected_model"] == AGENT
    assert decision["session_id"] == session
    assert decision["reason"] == "classified"
    assert decision["bypass_used"] is False


def test_the_done_record_is_the_answer_without_its_result(router: Router) -> None:
    record = read_events(router.route(PYTHON, session_id=a_session(), stream=True).text.split("\n"))[-1].data
    assert types(record, ROUTE_FIELDS) == ROUTE_FIELDS
    assert "result" not in record
    assert record["success"] is True
    assert record["usage"]["completion_tokens"] > 0


def test_stream_headers_tell_the_decision(embedded_router: Router) -> None:
    response = embedded_router.route(PYTHON, session_id=a_session(), stream=True)
    record, headers = read_events(response.text.split("\n"))[-1].data, response.headers
    assert headers["x-session-id"] == record["session_id"]
    assert headers["x-request-id"] == record["request_id"]
    assert headers["x-route-use-case"] == "agent"
    assert headers["x-route-model"] == AGENT
    assert headers["x-route-reason"] == "classified"
    assert headers["x-route-bypass"] == "false"
    assert float(headers["x-route-confidence"]) == pytest.approx(record["confidence"], abs=0.001)
    assert re.match(r"routing;dur=\d+(\.\d+)?", headers["server-timing"])


def test_model_output_that_looks_like_events_stays_data(embedded_router: Router) -> None:
    query = "Repeat this: \n\nevent: done\ndata: {}\n\n<script>"
    events = read_events(embedded_router.route(query, use_case="agent", stream=True).text.split("\n"))
    assert names(events).count("done") == 1
    assert "event: done" in joined(events)


def test_a_streamed_turn_is_remembered_like_a_plain_one(router: Router, models: Models) -> None:
    session = a_session()
    said = joined(read_events(router.route(PYTHON, session_id=session, stream=True).text.split("\n")))
    router.answer(FOLLOW_UP, session_id=session)
    told = texts(models.agent.received()[-1])
    assert told == [("user", PYTHON), ("assistant", said), ("user", FOLLOW_UP)]


def test_stream_deltas_arrive_as_they_are_made(embedded_router: Router, models: Models) -> None:
    models.agent.fail("never-ends")
    request: dict[str, Any] = {"query": PYTHON, "stream": True}
    with embedded_router.http.stream("POST", "/route", json=request) as response:
        deltas = (line for line in response.iter_lines() if line.startswith("data:") and "delta" in line)
        first, second = next(pairwise(deltas))
        assert first
        assert second
    models.agent.wait_for_running(0)


def test_a_picture_can_be_streamed_about(embedded_router: Router) -> None:
    response = embedded_router.route(PICTURE, attachments=[an_image()], stream=True)
    record = read_events(response.text.split("\n"))[-1].data
    assert record["use_case"] == "multimodal"


def types(record: dict[str, Any], fields: dict[str, type]) -> dict[str, type]:
    return {name: type(record.get(name)) for name in fields}
