"""POST /tokenize and /detokenize"""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from smart_router.simulate import conversation
from smart_router.simulate.fields import Fields
from smart_router.simulate.simulation import Simulation, read_json, simulation
from smart_router.simulate.tokens import tokenise


async def tokenize(request: Request) -> Response:
    here = simulation(request)
    fields = Fields(await read_json(request))
    model, told = fields.text("model"), fields.flag("return_token_strs")
    prompt, messages = _read_subject(fields)
    fields.check()
    here.model_for(model)
    tokens = _tokens(here, prompt, messages)
    return JSONResponse(
        {
            "count": len(tokens),
            "max_model_len": here.model.max_model_len,
            "tokens": here.vocabulary.ids(tokens),
            "token_strs": list(tokens) if told else None,
        }
    )


async def detokenize(request: Request) -> Response:
    here = simulation(request)
    fields = Fields(await read_json(request))
    model, numbers = fields.text("model"), fields.list("tokens", required=True)
    for index, number in enumerate(numbers or ()):
        if not isinstance(number, int):
            fields.problem("int_type", f"tokens.{index}", "Input should be a valid integer", number)
    fields.check()
    here.model_for(model)
    return JSONResponse({"prompt": here.vocabulary.text(numbers or ())})


def _read_subject(fields: Fields) -> tuple[str | None, list[Any] | None]:
    """A prompt or messages; neither is a problem with both."""
    if "prompt" in fields.body or "messages" not in fields.body:
        prompt = fields.text("prompt", required=True)
        if "prompt" not in fields.body:
            fields.missing("messages")
        return prompt, None
    messages = fields.list("messages")
    conversation.check_form(fields, messages)
    return None, messages


def _tokens(here: Simulation, prompt: str | None, messages: list[Any] | None) -> Sequence[str]:
    """None at all on Whisper, whose real server cannot tell either."""
    if here.model.kind == "audio":
        return ()
    if messages is not None:
        return conversation.read(here.model, messages).tokens
    return tokenise(prompt or "")
