"""`smart-router demo`: the main job, end to end, on servers that it starts itself."""

import base64
import json
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from smart_router.cli import media
from smart_router.cli.failing import fail
from smart_router.cli.processes import (
    DidNotStart,
    Server,
    all_running,
    find_redis_server,
    free_port,
    redis_server,
    running,
    smart_router,
)
from smart_router.cli.shown import Bar
from smart_router.decide import sse
from smart_router.types import MediaKind

SIMULATED = {
    "VLLM_AGENT_URL": "Qwen/Qwen2.5-7B-Instruct",
    "VLLM_MULTIMODAL_URL": "Qwen/Qwen2.5-VL-7B-Instruct",
    "VLLM_AUDIO_URL": "Qwen/Qwen2-Audio-7B",
}


@dataclass(frozen=True)
class Line:
    """One turn of the demo's conversation, and what it shows."""

    query: str
    shows: str
    attach: MediaKind | None = None
    stream: bool = False


CONVERSATION = (
    Line("Write a Python function to sort a list", "a first turn is classified"),
    Line("Add error handling to that function", "a follow-up skips the classifier; the model sees what came before"),
    Line("and a test for it please", "another, streamed", stream=True),
    Line("What is wrong in this screenshot?", "an attached image changes the use case", attach="image"),
    Line("And what colour is the frame around it?", "a follow-up on the image, which is remembered"),
    Line("describe it for someone who cannot see", "another, streamed", stream=True),
    Line("What does she say here?", "an attached recording changes it again", attach="audio"),
    Line("and in this one?", "the next recording, streamed", attach="audio", stream=True),
    Line("दुकान के लिए दिवाली ऑफ़र का छोटा सा मैसेज लिख दो", "plain words lead away from the recording, in any language"),
    Line("make it shorter", "a follow-up once more"),
)


def demo(
    stay: Annotated[bool, typer.Option(help="Keep the servers running until Ctrl+C.")] = False,
    port: Annotated[int | None, typer.Option(help="The router's port; default: a free one.", min=1, max=65535)] = None,
) -> None:
    """
    Start a router with all that it needs, and talk through it.

    Model servers are SIMULATED unless VLLM_AGENT_URL, VLLM_MULTIMODAL_URL, VLLM_AUDIO_URL or VLLM_BASE_URL name real
    ones.

    Example: smart-router demo --stay --port 8001
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that nothing stays behind
    try:
        with ExitStack() as stack:
            with Bar("starting") as bar:
                bar(0, 3)
                environment = stack.enter_context(_model_servers())
                bar(1, 3)
                environment = stack.enter_context(_sessions(environment))
                bar(2, 3)
                url = stack.enter_context(_router(environment, port or free_port()))
            _converse(url, environment.get("API_KEY"))
            if stay:
                _stay(url)
    except DidNotStart as exc:
        fail(f"a server of the demo did not start:\n{exc}")


@contextmanager
def _model_servers() -> Iterator[dict[str, str]]:
    from smart_router.settings import environment as configured

    environment = dict(configured())
    real = [name for name in (*SIMULATED, "VLLM_BASE_URL") if environment.get(name)]
    if real:
        typer.echo(f"model servers: as configured by {', '.join(real)}")
        yield environment
        return
    servers = simulated_servers()
    for name, model in SIMULATED.items():
        typer.echo(f"model server: SIMULATED {model} at {servers[name].url}")
    with all_running(list(servers.values())):
        yield environment | {name: server.url for name, server in servers.items()}


def simulated_servers() -> dict[str, Server]:
    """By the variable that names each one's address."""
    return {name: _simulated(model) for name, model in SIMULATED.items()}


def _simulated(model: str) -> Server:
    port = free_port()
    command = smart_router("simulate", "--model", model, "--port", str(port), "--enable-auto-tool-choice")
    return Server(command, port, path="/health")


@contextmanager
def _sessions(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    if environment.get("REDIS_URL"):
        typer.echo("sessions: in the Redis of REDIS_URL")
        yield dict(environment)
    elif program := find_redis_server():
        with redis_server(program) as url:
            typer.echo(f"sessions: Redis at {url}")
            yield {**environment, "REDIS_URL": url}
    else:
        typer.echo("sessions: embedded in the router (no redis-server was found)")
        yield dict(environment)


@contextmanager
def _router(environment: Mapping[str, str], port: int) -> Iterator[str]:
    with running(smart_router("serve", "--port", str(port)), port, environment, path="/ready") as url:
        typer.echo(f"router: {url}")
        yield url


def _converse(url: str, key: str | None) -> None:
    import httpx2

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with httpx2.Client(base_url=url, headers=headers, timeout=180) as client:
        for line in CONVERSATION:
            response = client.post("/route", json=_request(line))
            _show(line, _from_stream(response.text) if _is_stream(response) else response.json())
        stats = client.get("/stats").json()
    typer.echo(
        f"\n{stats['total_requests']} requests, {stats['bypass_rate_percent']:g} % bypassed the classifier; "
        f"routing {stats['average_routing_time'] * 1000:.1f} ms classified, "
        f"{stats['average_bypass_time'] * 1000:.2f} ms bypassed"
    )


def _request(line: Line) -> dict[str, Any]:
    request: dict[str, Any] = {"query": line.query, "session_id": "demo", "stream": line.stream, "max_tokens": 40}
    if line.attach:
        data, media_type = media.SAMPLES[line.attach]()
        attachment = {"type": line.attach, "data": base64.b64encode(data).decode(), "media_type": media_type}
        request["attachments"] = [attachment]
    return request


def _is_stream(response: Any) -> bool:
    return str(response.headers["content-type"]).startswith("text/event-stream")


def _from_stream(text: str) -> dict[str, Any]:
    """The last event's record, with the deltas joined as its result."""
    events = sse.Parser().feed(text.encode())
    deltas = [json.loads(event.data)["delta"] for event in events if event.event == "message"]
    return {**json.loads(events[-1].data), "result": "".join(deltas)}


def _show(line: Line, answer: Mapping[str, Any]) -> None:
    attached = f"  [{line.attach} attached]" if line.attach else ""
    typer.echo(f"\n> {line.query}{attached}")
    if not answer.get("success"):
        fail(f"{answer.get('error_code')}: {answer.get('error_message')}")
    typer.echo(f"  {' '.join(answer['result'].split())[:160]}")
    how = "bypass" if answer["bypass_used"] else f"confidence {answer['confidence']:.2f}"
    changed = ", context changed" if answer["context_changed"] else ""
    typer.echo(f"  -> {answer['use_case']} ({answer['reason']}, {how}{changed}) on {answer['selected_model']}")
    typer.echo(f"     {line.shows}")


def _stay(url: str) -> None:
    typer.echo(f"\n{url} is the playground, {url}/docs shows the API. Ctrl+C stops everything.")
    try:
        signal.pause()
    except KeyboardInterrupt:
        typer.echo("stopping")
