"""
The errors, in the real server's envelopes.

    Exception
    ├── Invalid 400        the body has not the schema's form: type "Bad Request", param "body.messages"
    ├── Unreadable 400     the body is no text at all: {"detail": ...}
    └── Refused            the server's own checks: type "BadRequestError", param "max_tokens"
        └── UnknownModel 404

and Starlette's HTTPException, {"detail": "Not Found"}, for a wrong path or method.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

MOST_PROBLEMS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a body, in the words of pydantic: *loc* is the dotted path to it."""

    type: str
    loc: str
    msg: str
    input: Any = None

    def __str__(self) -> str:
        return str({"type": self.type, "loc": self.loc, "msg": self.msg, "input": _in_short(self.input)})


class Invalid(Exception):
    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(_listed(problems))
        self.param: str | None = problems[0].loc


class WrongContentType(Invalid):
    def __init__(self) -> None:
        Exception.__init__(self, _heading(1) + "\n  Unsupported Media Type: Only 'application/json' is allowed")
        self.param = None


class Unreadable(Exception):
    pass


class Refused(Exception):
    def __init__(
        self,
        message: str,
        status: int = 400,
        *,
        type: str = "BadRequestError",
        param: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.type, self.param = message, status, type, param
        self.headers = {} if retry_after_s is None else {"retry-after": str(retry_after_s)}


class UnknownModel(Refused):
    def __init__(self, asked: str, served: str) -> None:
        message = f"The model `{asked}` does not exist. Valid aliases: {served}."
        super().__init__(message, 404, type="NotFoundError", param="model")


def refused_value(message: str, param: str, value: object) -> Refused:
    """A refusal that names the parameter at fault and its value, as vLLM's do."""
    return Refused(f"{message} (parameter={param}, value={value})", param=param)


def worker_failed(method: str, why: str) -> Refused:
    message = (
        f"Call to {method} method failed: Worker failed with error '{why}', please check the stack trace above for the "
        "root cause"
    )
    return Refused(message, 500, type="InternalServerError")


def envelope(refused: Refused) -> dict[str, Any]:
    return _error(refused.message, refused.type, refused.param, refused.status)


async def answer_refused(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, Refused)
    return JSONResponse(envelope(exc), exc.status, exc.headers)


async def answer_invalid(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, Invalid)
    return JSONResponse(_error(str(exc), "Bad Request", exc.param, 400), 400)


async def answer_unreadable(_: Request, exc: Exception) -> Response:
    return JSONResponse({"detail": "There was an error parsing the body"}, 400)


async def answer_http(_: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    return JSONResponse({"detail": exc.detail}, exc.status_code, exc.headers)


HANDLERS = {
    Refused: answer_refused,
    Invalid: answer_invalid,
    Unreadable: answer_unreadable,
    HTTPException: answer_http,
}


def _error(message: str, type: str, param: str | None, code: int) -> dict[str, Any]:
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


def _listed(problems: Sequence[Problem]) -> str:
    lines = [_heading(len(problems)), *map(str, problems[:MOST_PROBLEMS_SHOWN])]
    if len(problems) > MOST_PROBLEMS_SHOWN:
        lines.append(f"...and {len(problems) - MOST_PROBLEMS_SHOWN} more errors")
    return "\n  ".join(lines)


def _heading(count: int) -> str:
    return f"{count} validation error{'s' if count != 1 else ''}:"


def _in_short(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"<{type(value).__name__} of {len(value)} items>"
    return str(value)
