"""Ollama's POST /v1/chat/completions: fewer fields than vLLM's, and a prompt that is cut where it is too long."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request

from smart_router.simulate import answers, conversation
from smart_router.simulate.chat import ChatAsk
from smart_router.simulate.engine import Engine
from smart_router.simulate.errors import Refused
from smart_router.simulate.exchange import Exchange
from smart_router.simulate.faults import FaultName
from smart_router.simulate.jobs import Counted, Job, Said, Step
from smart_router.simulate.model import SimulatedModel
from smart_router.simulate.wire import DONE, Reply, data_event, encode, usage

FINGERPRINT = "fp_ollama-simulated"
KEPT = 4  # tokens at the beginning of a prompt that is cut
# Others, such as max_completion_tokens and n, are passed over.
_READ = ("model", "messages", "stream", "max_tokens", "seed", "stop", "temperature", "top_p", "response_format")
_PICTURES = tuple(f"data:{kind};base64," for kind in ("", "image/jpeg", "image/jpg", "image/png", "image/webp"))


def chat(
    request: Request, engine: Engine, model: SimulatedModel, body: dict[str, Any], fault: FaultName | None
) -> Exchange:
    """
    Raises:
        Refused, Invalid
    """
    ask = ChatAsk.read({name: body[name] for name in _READ if name in body})
    if not ask.messages:
        raise Refused("[] is too short - 'messages'", type="invalid_request_error")
    _check_parts(ask.messages)
    talk = conversation.read(model, ask.messages)
    prompt = _cut(talk.tokens, model.max_model_len)
    say = answers.to_chat_as_json if ask.as_json else answers.to_chat
    room = max(1, model.max_model_len - len(prompt))
    answer = replace(ask.sampling, n=1).answer(say(model.id, talk, 0), room)
    job = Job(prompt, (answer,), ask.sampling.max_tokens)
    told = bool((body.get("stream_options") or {}).get("include_usage"))
    dialect = OllamaDialect(Reply.to(request, model, "chatcmpl"), told=told)
    return Exchange(engine, job, dialect, stream=ask.options.stream, fault=fault)


class OllamaDialect:
    media_type = "application/json"

    def __init__(self, reply: Reply, *, told: bool) -> None:
        """*told*: the usage, at the end of a stream."""
        self._reply, self._told = reply, told

    def whole(self, choices: Sequence[Said], counted: Counted) -> bytes:
        message = {"role": "assistant", "content": choices[0].text}
        choice = {"index": 0, "message": message, "finish_reason": choices[0].finish}
        return encode(self._headed("chat.completion") | {"choices": [choice], "usage": usage(counted)})

    def opening(self, counted: Counted) -> Iterator[bytes]:
        return iter(())

    def delta(self, step: Step, counted: Counted) -> Iterator[bytes]:
        delta = {"role": "assistant", "content": step.text}
        choice = {"index": 0, "delta": delta, "finish_reason": step.finish}
        yield data_event(self._headed("chat.completion.chunk") | {"choices": [choice]})

    def closing(self, counted: Counted) -> Iterator[bytes]:
        if self._told:
            yield data_event(self._headed("chat.completion.chunk") | {"choices": [], "usage": usage(counted)})
        yield DONE

    def broken(self, error: dict[str, Any]) -> Iterator[bytes]:
        yield data_event(error)

    def _headed(self, kind: str) -> dict[str, Any]:
        return self._reply.headed(kind) | {"system_fingerprint": FINGERPRINT}


def _cut(prompt: tuple[str, ...], context: int) -> tuple[str, ...]:
    """As Ollama's runner does, without a word: the first few tokens, and the last ones of half a context."""
    if len(prompt) <= context:
        return prompt
    half = (context - KEPT) // 2
    return prompt[:KEPT] + prompt[len(prompt) - half :]


def _check_parts(messages: Sequence[dict[str, Any]]) -> None:
    """
    Raises:
        Refused: a part that is neither a text nor a picture in base64.
    """
    contents = (message.get("content") for message in messages)
    for part in (part for content in contents if isinstance(content, list) for part in content):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in ("text", "image_url"):
            raise Refused("invalid message format", type="invalid_request_error")
        if kind == "image_url" and not _url(part["image_url"]).startswith(_PICTURES):
            raise Refused("invalid image input", type="invalid_request_error")


def _url(given: object) -> str:
    return str(given.get("url")) if isinstance(given, dict) else str(given)
