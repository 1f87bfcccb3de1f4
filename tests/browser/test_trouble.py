"""What goes wrong is told in a sentence with what to do, and nothing typed is lost."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.asking import PYTHON
from tests.e2e.models import Models, Recorder
from tests.e2e.routers import KEY, Router, a_registry, running_router, wait_until_rested
from tests.upstream.scripted import HANG_UP, STREAM_HEAD, chunk, delta

from .conftest import Opener
from .playground import Playground
from .speaking import says

HTML = "<html><body><h1>502 Bad Gateway</h1>nginx</body></html>"
AS_HTML = {"content-type": "text/html"}


def test_no_server_is_told_and_what_was_typed_comes_back(opener: Opener, models: Models, tmp_path: Path) -> None:
    registry = a_registry(tmp_path, models.endpoints)
    with running_router(registry) as router:
        playground = opener(router.url)
        playground.attach("dot.png", "image/png", b"\x89PNG\r\n\x1a\n" + bytes(30))
        host = router.url.removeprefix("http://")
    playground.watch.provoked("net::ERR_CONNECTION_REFUSED")
    playground.ask("What is in this picture?", state="failed")
    expect(playground.last).to_contain_text(f"No answer from {host}.")
    expect(playground.last).to_contain_text("smart-router serve")
    expect(playground.panel).to_contain_text("No answer from")
    playground.button("Edit", playground.last).click()
    expect(playground.box).to_have_value("What is in this picture?")
    expect(playground.attached).to_have_count(1)


def test_a_wrong_key_is_told_and_the_right_one_sends_what_was_typed(keyed: Playground) -> None:
    keyed.watch.provoked(401)
    keyed.button("Enter the key", keyed.panel).click()
    key = keyed.page.get_by_label("Key", exact=True)
    key.fill("two words")
    keyed.button("Use it").click()
    expect(keyed.page.get_by_role("dialog")).to_contain_text("without spaces")
    key.fill("sk-wrong")
    keyed.button("Use it").click()
    expect(keyed.panel).to_contain_text("The router does not know this key.")
    keyed.ask(PYTHON, state="failed")
    expect(keyed.last).to_contain_text("The router does not know this key.")
    keyed.button("Enter the key", keyed.last).click()
    key.fill(KEY)
    keyed.button("Use it").click()
    expect(keyed.answer).to_contain_text(PYTHON)
    expect(keyed.panel).to_contain_text("Bypass rate")


REFUSALS = [
    (403, "forbidden", "this key may metrics only", "This key is not allowed to do that."),
    (403, "policy_refused", "prompts: a rule is against it", "A rule of this router is against it."),
    (413, "body_too_large", "the body exceeds 9 bytes; send less", "This is more than the router takes."),
    (429, "rate_limited", "60 requests a minute; wait", "Too many requests for now."),
    (503, "overloaded", "all replicas are busy", "No model can answer right now."),
    (504, "timeout", "the model did not answer in time", "The model was too slow."),
]


def test_each_refusal_is_told_in_the_routers_own_words(playground: Playground) -> None:
    for status, code, message, said in REFUSALS:
        playground.watch.provoked(status)
        body = {"success": False, "error_message": message, "error_code": code, "request_id": "abc123"}
        playground.instead("/route", status, json.dumps(body))
        playground.ask(PYTHON, state="failed")
        expect(playground.last).to_contain_text(said)
        expect(playground.last).to_contain_text(message[1:])
        expect(playground.last).to_contain_text("Request abc123")
    playground.page.unroute("**/route")
    playground.button("Try again", playground.last).click()
    expect(playground.answer).to_contain_text(PYTHON)


def test_it_can_be_tried_again_after_as_long_as_the_router_asked_for(playground: Playground) -> None:
    playground.watch.provoked(429)
    playground.instead("/route", 429, '{"error_message": "60 requests a minute"}', {"retry-after": "3"})
    playground.ask(PYTHON, state="failed")
    again = playground.last.get_by_role("button", name=re.compile("Try again"))
    expect(again).to_have_text(re.compile("in [123] s"))
    expect(again).to_be_disabled()
    playground.page.unroute("**/route")
    expect(again).to_be_enabled()
    again.click()
    expect(playground.answer).to_contain_text(PYTHON)


@pytest.mark.parametrize("status", [200, 502])
def test_a_proxys_page_is_not_taken_for_an_answer(playground: Playground, status: int) -> None:
    playground.watch.provoked(502)
    playground.instead("/route", status, HTML, AS_HTML)
    playground.ask(PYTHON, state="failed")
    expect(playground.last).to_contain_text(f"Something other than the router answered (HTTP {status}, a web page).")
    expect(playground.last).not_to_contain_text("nginx")
    playground.instead("/classify", status, HTML, AS_HTML)
    playground.box.fill(PYTHON)
    playground.button("What if").click()
    expect(playground.page.get_by_role("region", name="Preview of the route")).to_contain_text(
        "Something other than the router"
    )


def test_a_proxys_limit_on_size_is_told(playground: Playground) -> None:
    playground.watch.provoked(413)
    playground.instead("/route", 413, HTML, AS_HTML)
    playground.ask(PYTHON, state="failed")
    expect(playground.last).to_contain_text("between this page and the router refused the message as too large")


def test_a_model_that_hangs_up_in_mid_stream_leaves_what_had_come(spoken: Playground, model: Recorder) -> None:
    model.tell(STREAM_HEAD, chunk(delta("Once upon")), HANG_UP)
    spoken.ask("Tell me a story", state="failed")
    expect(spoken.answer).to_have_text("Once upon")
    expect(spoken.last).to_contain_text("The answer broke off.")
    says(model, "Once upon a time.")
    spoken.button("Try again", spoken.last).click()
    expect(spoken.answer).to_have_text("Once upon a time.")


def test_a_connection_that_is_lost_in_mid_stream_leaves_what_had_come(playground: Playground) -> None:
    decision = {"use_case": "agent", "selected_model": "m", "reason": "classified"}
    playground.streams(("route", decision), ("", {"delta": "Once upon"}))
    playground.ask("Tell me a story", state="failed")
    expect(playground.answer).to_have_text("Once upon")
    expect(playground.last).to_contain_text("The connection was lost in the middle of the answer.")


def test_a_router_of_another_version_is_shown_as_far_as_it_is_understood(opener: Opener, router: Router) -> None:
    playground = opener(router.url, opened_at_once=False)
    playground.watch.provoked(404)
    playground.instead("/ui/about.json", 404, "{}")
    playground.instead("/use-cases", 200, '{"use_cases": [{"id": "agent"}, {"name": "x"}, null]}')
    playground.instead("/stats", 200, '{"total_requests": "many", "use_cases": {"agent": null}, "models": []}')
    playground.instead("/health", 200, '{"status": 7, "model_endpoints": {"a": {}, "b": {"replicas": [{}, null]}}}')
    playground.streams(
        ("route", {"colour": "blue"}), ("news", "?"), ("", "nonsense"), ("", {"delta": "Hello."}), ("done", {})
    )
    playground.open()
    playground.ask("Hello")
    expect(playground.answer).to_have_text("Hello.")
    expect(playground.last.get_by_role("list", name="Decision")).to_contain_text("not said")
    playground.button("Why this route?", playground.last).click()
    expect(playground.last.locator(".why-panel")).to_contain_text("may be of another version")
    expect(playground.panel).to_contain_text("No request yet")


def test_a_router_that_does_not_stream_is_understood_too(playground: Playground) -> None:
    playground.instead(
        "/route",
        200,
        '{"success": true, "result": "Hello.", "use_case": "agent", "reason": "classified", "total_time": 0.5}',
    )
    playground.ask("Hello")
    expect(playground.answer).to_have_text("Hello.")
    expect(playground.last.get_by_role("list", name="Times")).to_contain_text("500")


def test_a_use_case_that_is_gone_is_told(playground: Playground, router: Router) -> None:
    playground.watch.provoked(404)
    playground.page.route(
        "**/use-cases", lambda route: route.fulfill(json={"use_cases": [{"id": "agent"}, {"id": "poetry"}]})
    )
    playground.reload()
    playground.page.get_by_label("Use case", exact=True).select_option("poetry")
    playground.ask("Hello", state="failed")
    expect(playground.last).to_contain_text("poetry")
    playground.button("Edit", playground.last).click()
    expect(playground.box).to_have_value("Hello")


def test_no_model_at_all_is_told_in_the_answer_and_the_panel(opener: Opener, router: Router, models: Models) -> None:
    for server in models.all:
        server.fail("refuse-503")
    playground = opener(router.url)
    playground.watch.provoked(503)
    playground.ask("Hello", state="failed")
    expect(playground.last).to_contain_text("No model can answer right now.")
    models.reset()
    wait_until_rested(router)
    again = playground.last.get_by_role("button", name=re.compile("Try again"))
    expect(again).to_be_enabled()
    again.click()
    expect(playground.last).to_have_attribute("data-state", "done")


def test_ending_a_session_of_a_router_that_is_gone_can_be_done_here_alone(playground: Playground) -> None:
    playground.ask(PYTHON)
    playground.watch.provoked("net::ERR_FAILED")
    playground.page.route("**/sessions/*", lambda route: route.abort())
    playground.more(PYTHON)
    playground.button("End", playground.side).click()
    playground.button("End it").click()
    expect(playground.notices).to_contain_text("The session was not ended.")
    expect(playground.turns).to_have_count(1)
    playground.button("Forget it here only").click()
    expect(playground.turns).to_have_count(0)
