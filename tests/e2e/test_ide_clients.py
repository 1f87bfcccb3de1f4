"""
Sessions of editors and chat programs, replayed as their sources say that they send them (`recorded/*.json`).

In a recording `{{unique}}` stands for a text that no other replay has, `{{answer N}}` for the N-th answer in its first
session, `{{png}}` for a picture, `{{key}}` for the router's key. Each step says in which session it belongs (where a
session is derived, that is what must be found out), and what it must be decided as.
"""

import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai.types import Completion, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from .asking import CHAT, a_png
from .models import Models, three_models
from .routers import KEY, Router, a_registry, running_router, wait_for_idle

RECORDED = sorted((Path(__file__).parent / "recorded").glob("*.json"))
LIST = "/v1/models"
TYPES = {CHAT: (ChatCompletion, ChatCompletionChunk), "/v1/completions": (Completion, Completion)}
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass
class Replay:
    """One run of a recording, and what came of its steps."""

    recording: dict[str, Any]
    router: Router
    models: Models
    unique: str = field(default_factory=lambda: f"u{uuid.uuid4().hex}")
    answers: list[str] = field(default_factory=list)  # in the first session
    sessions: dict[str, str] = field(default_factory=dict)  # what the recording calls it -> its id

    def run(self) -> None:
        for step in self.recording["steps"]:
            with _said(f"{self.recording['client']} {step['what']}"):
                self._list(step) if step["path"] == LIST else self._ask(step)

    def filled(self, node: Any) -> Any:
        if isinstance(node, dict):
            return {name: self.filled(value) for name, value in node.items()}
        if isinstance(node, list):
            return [self.filled(value) for value in node]
        return re.sub(r"\{\{(.+?)\}\}", self._meant, node) if isinstance(node, str) else node

    def _meant(self, found: re.Match[str]) -> str:
        name, _, number = found[1].partition(" ")
        match name:
            case "unique":
                return self.unique
            case "answer":
                return self.answers[int(number) - 1]
            case "key":
                return KEY
            case "png":
                return f"data:image/png;base64,{a_png()}"
        raise AssertionError(f"no recording has {found[0]}")

    def _list(self, step: Mapping[str, Any]) -> None:
        with self._client(step) as (client, _):
            listed = {model.id for model in client.models.list()}
            assert {"auto", "agent"} <= listed
            assert all(isinstance(model, Model) for model in client.models.list())

    def _ask(self, step: Mapping[str, Any]) -> None:
        with self._client(step) as (client, answered):
            ask = self._leave if step.get("leaves") else self._stream if step["body"].get("stream") else self._whole
            text = ask(client, step)
        self._check(step, answered[-1].headers)
        self._check_arrived(step, answered[-1].headers["x-route-model"])
        if step["session"] == next(iter(self.sessions)):
            self.answers.append(text)

    def _check(self, step: Mapping[str, Any], told: httpx2.Headers) -> None:
        label, id = step["session"], told["x-session-id"]
        others = {its for name, its in self.sessions.items() if name != label}
        assert self.sessions.setdefault(label, id) == id, (
            f"this turn of {label!r} is in another session than those before"
        )
        assert id not in others, f"{label!r} shares a session with another one"
        expected = step.get("expect", {})
        if "use_case" in expected:
            assert told["x-route-use-case"] == expected["use_case"], told
        if "bypass" in expected:
            assert told["x-route-bypass"] == str(expected["bypass"]).lower(), told

    def _check_arrived(self, step: Mapping[str, Any], model: str) -> None:
        """All that the client said, but for the model's name."""
        server = next(server for server in self.models.all if server.id == model)
        assert server.received()[-1] == self.filled(step["body"]) | {"model": model}

    def _whole(self, client: openai.OpenAI, step: Mapping[str, Any]) -> str:
        whole: Any = TYPES[step["path"]][0]
        return _text(client.post(_path(step), cast_to=whole, body=self.filled(step["body"])))

    def _stream(self, client: openai.OpenAI, step: Mapping[str, Any]) -> str:
        parts = list(self._open(client, step))
        assert [part for part in parts if part.choices][-1].choices[0].finish_reason
        if step["body"].get("stream_options", {}).get("include_usage"):
            assert parts[-1].usage
        return "".join(map(_text, parts))

    def _leave(self, client: openai.OpenAI, step: Mapping[str, Any]) -> str:
        """The user has seen enough: nobody goes on to work for it."""
        self.models.agent.fail("never-ends", count=1)
        with self._open(client, step) as stream:
            text = next(text for part in stream if (text := _text(part)))
        self.models.agent.wait_for_running(0)
        wait_for_idle(self.router)
        return text

    def _open(self, client: openai.OpenAI, step: Mapping[str, Any]) -> "openai.Stream[Any]":
        part: Any = TYPES[step["path"]][1]
        of_parts: Any = openai.Stream[part]
        opened = client.post(
            _path(step), cast_to=part, body=self.filled(step["body"]), stream=True, stream_cls=of_parts
        )
        assert isinstance(opened, openai.Stream)
        return opened

    @contextmanager
    def _client(self, step: Mapping[str, Any]) -> Iterator[tuple[openai.OpenAI, list[httpx2.Response]]]:
        """The official client for what comes back; what goes out has the headers of the recording and no others."""
        headers = self.filled(self.recording["headers"] | step.get("headers", {}))
        answered: list[httpx2.Response] = []

        def dressed(request: httpx2.Request) -> None:
            kept = {name: request.headers[name] for name in ("host", "content-length") if name in request.headers}
            request.headers = httpx2.Headers(kept | headers)

        hooks: dict[str, list[Callable[..., Any]]] = {"request": [dressed], "response": [answered.append]}
        with (
            httpx2.Client(event_hooks=hooks, trust_env=False, timeout=20) as http,
            openai.OpenAI(base_url=f"{self.router.url}/v1", api_key="x", max_retries=0, http_client=http) as client,
        ):
            yield client, answered


def _path(step: Mapping[str, Any]) -> str:
    return str(step["path"]).removeprefix("/v1")


def _text(answer: Any) -> str:
    choice = answer.choices[0] if answer.choices else None
    said = getattr(choice, "delta", None) or getattr(choice, "message", None)
    return (said.content if said is not None else getattr(choice, "text", "")) or ""


@contextmanager
def _said(what: str) -> Iterator[None]:
    """Which step it was, where one fails."""
    try:
        yield
    except Exception as exc:
        exc.add_note(what)
        raise


def recording(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.fixture(scope="module")
def tooled() -> Iterator[Models]:
    """Model servers that take tools, with room for an editor's prompts."""
    with three_models(auto_tool_choice=True, max_model_len=32_768) as found:
        yield found


@pytest.fixture(scope="module")
def keyed_router(tooled: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    with running_router(a_registry(tmp_path_factory.mktemp("ide"), tooled.endpoints), api_key=KEY) as found:
        found.http.headers["Authorization"] = f"Bearer {KEY}"
        yield found


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_session_of_a_client_goes_well(keyed_router: Router, tooled: Models, path: Path) -> None:
    replay = Replay(recording(path), keyed_router, tooled)
    before = keyed_router.get("/stats")["bypass_requests"]
    replay.run()
    bypassed = [step for step in replay.recording["steps"] if step.get("expect", {}).get("bypass")]
    assert keyed_router.get("/stats")["bypass_requests"] - before >= len(bypassed)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_its_source_is_said(path: Path) -> None:
    sources = recording(path)["source"]
    assert sources
    assert all(COMMIT.fullmatch(source["commit"]) and source["path"] for source in sources)


def test_a_model_server_that_takes_no_tools_says_what_it_needs(embedded_router: Router) -> None:
    """As vLLM without its options: the client hears from it, not a riddle."""
    tool = {"type": "function", "function": {"name": "read_file", "parameters": {"type": "object", "properties": {}}}}
    refused = embedded_router.chat("Read a file", tools=[tool], stream=True)
    assert refused.status_code == 400
    assert "--enable-auto-tool-choice" in refused.json()["error"]["message"]
