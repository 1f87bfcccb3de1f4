"""Options, and the server as a process of its own."""

import asyncio
import signal
import socket
import sys
from typing import Any

import aiohttp
import pytest

from smart_router.simulate import SimulatedModel
from smart_router.simulate.server import KEEP_ALIVE_S

from .asking import eventually

SERVE = "import sys; from smart_router.simulate import *; serve(SimulatedModel('a/model'), port=int(sys.argv[1]))"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"id": ""}, "id must not be empty"),
        ({"kind": "smell"}, "kind must be one of text, image, audio, any, got 'smell'"),
        ({"ttft_ms": -1}, "ttft_ms must be 0 or more"),
        ({"tokens_per_second": -1}, "tokens_per_second must be 0 or more"),
        ({"max_model_len": 0}, "max_model_len must be at least 1"),
        ({"fault": "meteor"}, "fault must be one of refuse-503"),
        ({"fault_rate": 1.5}, "fault_rate must be in 0..1, got 1.5"),
    ],
)
def test_an_option_out_of_range_is_named(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        SimulatedModel(**{"id": "a/model"} | options)


def test_an_idle_connection_is_closed_as_soon_as_by_vllm() -> None:
    assert KEEP_ALIVE_S == 5


async def test_it_serves_as_a_process_until_it_is_told_to_stop(http: aiohttp.ClientSession) -> None:
    port = a_free_port()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVE, str(port))

    async def answers() -> bool:
        try:
            async with http.get(f"http://127.0.0.1:{port}/health") as answer:
                return answer.status == 200
        except aiohttp.ClientConnectionError:
            return False

    try:
        await eventually(answers)
    finally:
        process.send_signal(signal.SIGTERM)
        assert await process.wait() in (0, -signal.SIGTERM)


def a_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
