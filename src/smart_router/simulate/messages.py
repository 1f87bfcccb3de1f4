"""POST /v1/messages and /v1/messages/count_tokens: Anthropic's form of a chat."""

from collections.abc import Iterator, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from smart_router.simulate import conversation
from smart_router.simulate.chat import chat_job
from smart_router.simulate.conversation import Conversation
from smart_router.simulate.errors import Refused, refused_value
from smart_router.simulate.exchange import Exchange
from smart_router.simulate.fields import Fields
from smart_router.simulate.jobs import Counted, Finish, Job, Said, Step
from smart_router.simulate.sampling import Sampling
from smart_router.simulate.simulation import Simulation, read_json, simulation
from smart_router.simulate.wire import Reply, encode, named_event

_STOP_REASONS: dict[Finish, str] = {"length": "max_tokens", "stop": "end_turn", "abort": "end_turn"}


async def messages(request: Request) -> Response:
    """Its own refusals have Anthropic's envelope; a body of the wrong form has OpenAI's, as on the real server."""
    try:
        return await _messages(request)
    except Refused as refused:
        error = {"type": refused.type, "message": refused.message}
        return JSONResponse({"type": "error", "error": error}, refused.status, refused.headers)


async def count_tokens(request: Request) -> Response:
    here = simulation(request)
    fields = Fields(await read_json(request))
    talk = _read_conversation(here, fields)
    count = len(talk.tokens)
    return JSONResponse({"input_tokens": count, "context_management": {"original_input_tokens": count}})


async def _messages(request: Request) -> Response:
    here = simulation(request)
    fields = Fields(await read_json(request))
    fault = here.strike()
    max_tokens, stream = fields.integer("max_tokens", required=True), fields.flag("stream")
    sampling = Sampling.read(fields, max_tokens=max_tokens)
    talk = _read_conversation(here, fields)
    model = here.model_for(fields.text("model"))
    job = chat_job(model, talk, sampling)
    dialect = MessagesDialect(Reply.to(request, model, "chatcmpl"), job)
    return Exchange(here.engine, job, dialect, stream=stream, fault=fault)


class MessagesDialect:
    media_type = "application/json"

    def __init__(self, reply: Reply, job: Job) -> None:
        self._reply, self._job = reply, job
        self._finish: Finish = "stop"

    def whole(self, choices: Sequence[Said], counted: Counted) -> bytes:
        said = choices[0]
        content = [{"type": "text", "text": said.text}]
        ended = {"stop_reason": _STOP_REASONS[said.finish], "usage": _usage(counted)}
        return encode(self._message(content) | ended)

    def opening(self, counted: Counted) -> Iterator[bytes]:
        begun = {"stop_reason": None, "stop_sequence": None, "usage": _usage(counted)}
        yield named_event({"type": "message_start", "message": self._message([]) | begun})
        block = {"type": "text", "text": ""}
        yield named_event({"type": "content_block_start", "content_block": block, "index": 0})

    def delta(self, step: Step, counted: Counted) -> Iterator[bytes]:
        self._finish = step.finish or self._finish
        if step.text:
            delta = {"type": "text_delta", "text": step.text}
            yield named_event({"type": "content_block_delta", "delta": delta, "index": 0})

    def closing(self, counted: Counted) -> Iterator[bytes]:
        yield named_event({"type": "content_block_stop", "index": 0})
        delta = {"stop_reason": _STOP_REASONS[self._finish], "stop_sequence": None}
        yield named_event({"type": "message_delta", "delta": delta, "usage": _usage(counted)})
        yield named_event({"type": "message_stop"})

    def broken(self, error: dict[str, Any]) -> Iterator[bytes]:
        told = {"type": error["error"]["type"], "message": error["error"]["message"]}
        yield named_event({"type": "error", "error": told})

    def _message(self, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._reply.id,
            "type": "message",
            "role": "assistant",
            "content": content,
            "model": self._reply.model,
        }


def _read_conversation(here: Simulation, fields: Fields) -> Conversation:
    model, given = fields.text("model", required=True), fields.list("messages", required=True)
    system = fields.body.get("system")
    if model == "":
        fields.problem("value_error", "model", "Value error, Model is required", model)
    if not (system is None or isinstance(system, str | list)):
        fields.problem("string_type", "system", "Input should be a valid string", system)
    conversation.check_form(fields, given)
    fields.check()
    here.model_for(model)
    said = [{"role": "system", "content": system}] if system else []
    return conversation.read(here.model, [*said, *(_as_openai(message) for message in given or ())])


def _as_openai(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    return message | {"content": [_part(part) for part in content]} if isinstance(content, list) else message


def _part(part: Any) -> Any:
    if not isinstance(part, dict) or part.get("type") != "image":
        return part
    source = part.get("source")
    if not isinstance(source, dict):
        raise refused_value("An image part needs a source.", "source", source)
    url = source.get("url") or f"data:{source.get('media_type')};base64,{source.get('data', '')}"
    return {"type": "image_url", "image_url": {"url": url}}


def _usage(counted: Counted) -> dict[str, int]:
    return {"input_tokens": counted.prompt, "output_tokens": counted.completion}
