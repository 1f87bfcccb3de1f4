"""
Whatever a client uploads, in whatever pieces: it is passed on with another value of `model`, or refused, and others see
the same `model` in it as was seen here.
"""

import logging
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from python_multipart.exceptions import MultipartParseError
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException, MultiPartParser

from smart_router.errors import RouterError
from tests.api.test_upload import END, HEAD, LANGUAGE, MODEL, SERVED, SMALL, B, at_once, passed
from tests.fuzz.wire import cut

WORDS = (
    MODEL, LANGUAGE, SMALL, END, f"\r\n--{B}".encode(), f"--{B}\r\n".encode(), b"--\r\n", b"\r\n\r\n", HEAD.encode(),
    b"Content-", b"Disposition", b"form-data", b'; name="model"', b"; name=model", b"; name*=utf-8''model",
    b'; filename="a"', b'name="mo\\del"', b"Content-Type: text/plain\r\n", b"Content-Transfer-Encoding: base64\r\n",
)  # fmt: skip
logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of each form that it refuses


def check(data: bytes) -> None:
    whole = _told([data])
    pieces = cut(data) or [b""]
    found = _told(pieces)
    assert found == whole, f"{found} of {pieces}, but {whole}"
    if isinstance(whole, tuple):
        model, sent = whole
        _others_see_no_other(data, model)
        _others_see_no_other(sent, SERVED)


def _others_see_no_other(form: bytes, model: str) -> None:
    seen = _models_by_others(form) or []
    assert seen in ([], [model]), f"{seen}, but {model}"


def _told(pieces: Sequence[bytes]) -> Any:
    """The model and what is passed on, or the refusal."""
    try:
        return at_once(passed(*pieces))
    except RouterError as refused:
        assert 400 <= refused.status < 500
        return f"{type(refused).__name__}: {refused.message}"


def _models_by_others(form: bytes) -> list[str] | None:
    """The fields called `model`, as vLLM's framework reads them; None: it refuses."""
    parser = MultiPartParser(Headers({"content-type": f"multipart/form-data; boundary={B}"}), _in_one_piece(form))
    try:
        return [text for text in at_once(parser.parse()).getlist("model") if isinstance(text, str)]
    except (MultiPartException, MultipartParseError):
        return None
    finally:
        for file in parser._files_to_close_on_error:  # some, also where it is no error
            file.close()


async def _in_one_piece(form: bytes) -> AsyncGenerator[bytes, None]:
    yield form
