"""Three simulated model servers, as the shipped registry wants them, and what they can tell afterwards."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from smart_router.simulate import FaultName, Kind, SimulatedModel, running

AGENT = "Qwen/Qwen2.5-7B-Instruct"
MULTIMODAL = "Qwen/Qwen2.5-VL-7B-Instruct"
AUDIO = "Qwen/Qwen2-Audio-7B"
KINDS: Mapping[str, Kind] = {AGENT: "text", MULTIMODAL: "image", AUDIO: "any"}
SOON_S = 5.0
POLL_S = 0.02


@dataclass(frozen=True)
class ModelServer:
    """One simulated server, seen from outside."""

    id: str
    url: str
    http: httpx2.Client

    def received(self) -> list[dict[str, Any]]:
        """The bodies of the requests it got, the latest last."""
        told = self.http.get(f"{self.url}/simulate/requests").json()
        return [request["body"] for request in told["requests"]]

    def fail(self, fault: FaultName, count: int | None = None) -> None:
        self.http.post(f"{self.url}/simulate/faults", json={"fault": fault, "count": count}).raise_for_status()

    def reset(self) -> None:
        self.http.delete(f"{self.url}/simulate/faults").raise_for_status()
        self.http.delete(f"{self.url}/simulate/requests").raise_for_status()

    def running(self) -> float:
        """How many requests it is working on."""
        found = re.search(r"^vllm:num_requests_running{[^}]*} (\S+)$", self.http.get(f"{self.url}/metrics").text, re.M)
        assert found
        return float(found[1])

    def wait_for_running(self, count: int) -> None:
        """Within five seconds, or the test fails."""
        deadline = time.monotonic() + SOON_S
        while (now := self.running()) != count:
            assert time.monotonic() < deadline, f"{self.id} is working on {now} requests, not on {count}"
            time.sleep(POLL_S)


@dataclass(frozen=True)
class Models:
    agent: ModelServer
    multimodal: ModelServer
    audio: ModelServer

    @property
    def all(self) -> tuple[ModelServer, ...]:
        return (self.agent, self.multimodal, self.audio)

    @property
    def endpoints(self) -> dict[str, list[str]]:
        return {server.id: [server.url] for server in self.all}

    def requests(self) -> int:
        """How many requests reached any of them."""
        return sum(len(server.received()) for server in self.all)

    def reset(self) -> None:
        for server in self.all:
            server.reset()


@contextmanager
def three_models() -> Iterator[Models]:
    with ExitStack() as stack:
        http = stack.enter_context(httpx2.Client(timeout=5, trust_env=False))
        urls = {
            id: stack.enter_context(running(SimulatedModel(id, kind, ttft_ms=0, tokens_per_second=0)))
            for id, kind in KINDS.items()
        }
        yield Models(*(ModelServer(id, url, http) for id, url in urls.items()))


def texts(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Role and text of every message in a chat request."""
    return [(message["role"], _text(message["content"])) for message in body["messages"]]


def parts(body: Mapping[str, Any], type: str) -> list[dict[str, Any]]:
    """The content parts of one type in the last message."""
    content = body["messages"][-1]["content"]
    return [part for part in content if part["type"] == type] if isinstance(content, list) else []


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(part["text"] for part in content if part["type"] == "text")
