"""Clients that leave: the model server stops working for them, and nothing stays taken."""

import json
import re
import socket
from contextlib import ExitStack

import pytest

from smart_router.simulate import FaultName

from .asking import FOLLOW_UP, PYTHON, a_session
from .models import SOON_S, Models
from .routers import Router, until, wait_for_idle

COUNTED = re.compile(r'smart_router_requests_total{.*outcome="aborted"')


def a_caller(router: Router, authorization: str = "none", **fields: object) -> socket.socket:
    """A client that has asked and not yet read."""
    body = json.dumps({"query": PYTHON} | fields).encode()
    head = f"POST /route HTTP/1.1\r\nHost: r\r\nContent-Type: application/json\r\nAuthorization: {authorization}\r\n"
    connection = socket.create_connection(("127.0.0.1", router.port), timeout=SOON_S)
    connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return connection


def aborted(router: Router) -> float:
    """Requests that ended as their client had left."""
    lines = router.http.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if COUNTED.match(line))


@pytest.mark.parametrize("fault", ["stall-before-headers", "never-ends"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_before_the_first_word_frees_the_model(
    router: Router, models: Models, stream: bool, fault: FaultName
) -> None:
    id = a_session()
    models.agent.fail(fault)
    before = aborted(router)
    with a_caller(router, session_id=id, stream=stream):
        models.agent.wait_for_running(1)
    models.agent.wait_for_running(0)
    wait_for_idle(router)
    until(lambda: aborted(router) > before)


def test_a_client_that_leaves_in_the_middle_frees_the_model(router: Router, models: Models) -> None:
    models.agent.fail("never-ends")
    before = aborted(router)
    with a_caller(router, session_id=a_session(), stream=True) as caller:
        seen = b""
        while b'"delta"' not in seen:
            seen += caller.recv(65_536)
        assert models.agent.running() == 1
    models.agent.wait_for_running(0)
    wait_for_idle(router)
    until(lambda: aborted(router) > before)


def test_a_first_turn_given_up_leaves_no_session(router: Router, models: Models) -> None:
    id = a_session()
    models.agent.fail("stall-before-headers")
    with a_caller(router, session_id=id):
        models.agent.wait_for_running(1)
    models.agent.wait_for_running(0)
    wait_for_idle(router)
    assert not router.knows(id)


def test_a_session_whose_client_left_goes_on(router: Router, models: Models) -> None:
    id = a_session()
    router.answer(PYTHON, session_id=id)
    models.agent.fail("never-ends", count=1)
    with a_caller(router, query=FOLLOW_UP, session_id=id, stream=True):
        models.agent.wait_for_running(1)
    models.agent.wait_for_running(0)
    answer = router.answer(FOLLOW_UP, session_id=id)
    assert (answer["use_case"], answer["bypass_used"]) == ("agent", True)


def test_many_clients_that_leave_leave_nothing_behind(router: Router, models: Models) -> None:
    models.agent.fail("stall-before-headers")
    with ExitStack() as callers:
        for number in range(20):
            callers.enter_context(a_caller(router, session_id=a_session(), stream=number % 2 == 0))
        models.agent.wait_for_running(20)
    models.agent.wait_for_running(0)
    wait_for_idle(router)
    models.reset()
    assert router.answer(PYTHON)["use_case"] == "agent"
