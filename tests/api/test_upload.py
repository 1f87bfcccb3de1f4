"""Uploads: however the bytes come in, what goes out is the same form with another `model`, and little is held."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_multipart.multipart import MultipartParser, parse_options_header

from smart_router.api.asgi import ClientGone
from smart_router.api.presence import Visitor
from smart_router.api.upload import HOLD_BYTES, MOST_PART_HEAD, Upload
from smart_router.errors import BadRequest, BodyTooLarge, UnsupportedMedia

B = "b0undary"
END = f"--{B}--\r\n".encode()
SERVED = "org/whisper-large-v3 தமிழ்"
MOST = 64 * 1024 * 1024
DISCONNECT = {"type": "http.disconnect"}


def field(name: str, value: bytes, head: str = "") -> bytes:
    return f'--{B}\r\nContent-Disposition: form-data; name="{name}"{head}\r\n\r\n'.encode() + value + b"\r\n"


def file(data: bytes) -> bytes:
    return field("file", data, '; filename="a.wav"\r\nContent-Type: audio/wav')


MODEL = field("model", b"stt")
LANGUAGE = field("language", b"en")
LARGE = file(b"\0\r\n--" * (HOLD_BYTES // 2))  # three times what is held, and full of what begins like a boundary
SMALL = file(b"RIFF....")


def a_form(*parts: bytes, end: bytes = END) -> bytes:
    return b"".join(parts) + end


@dataclass
class Present:
    """Hears that all has been read."""

    told: int = 0
    due: float = inf

    def all_read(self) -> None:
        self.told += 1


class Client:
    """Sends *pieces*, then leaves if it *leaves*; `sent` counts what was asked for."""

    def __init__(self, pieces: Iterable[bytes], *, leaves: bool = False) -> None:
        self._pieces = list(pieces)
        self._leaves = leaves
        self.sent = 0

    async def receive(self) -> dict[str, Any]:
        if self.sent == len(self._pieces):
            assert self._leaves, "read beyond the end"
            return DISCONNECT
        self.sent += 1
        more = self._leaves or self.sent < len(self._pieces)
        return {"type": "http.request", "body": self._pieces[self.sent - 1], "more_body": more}


def an_upload(
    *pieces: bytes, content_type: str = f"multipart/form-data; boundary={B}", most: int = MOST, leaves: bool = False,
    declared: bytes | None = b"",
) -> Upload:  # fmt: skip
    """*declared*: unless given, what is true."""
    length = str(sum(map(len, pieces))).encode() if declared == b"" else declared
    receive = Client(pieces, leaves=leaves).receive
    return Upload(content_type.encode(), length, receive, most, cast(Visitor, Present()))


async def sent(upload: Upload, model: str = SERVED) -> bytes:
    """What goes out in the end, of the length that was said."""
    body, length = upload.with_model(model)
    parts = [body] if isinstance(body, bytes) else [part async for part in body]
    found = b"".join(parts)
    assert length in (None, len(found))
    return found


async def passed(*pieces: bytes, **more: Any) -> tuple[str | None, bytes]:
    upload = an_upload(*pieces, **more)
    await upload.begin()
    return upload.model, await sent(upload)


def at_once(coroutine: Any) -> Any:
    """The result of what never waits: a client that has sent all."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise AssertionError("it waits")


def split(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted({cut % len(data) for cut in cuts} - {0}), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def every(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


async def refusal(*pieces: bytes, **more: Any) -> str:
    with pytest.raises(BadRequest) as caught:
        await passed(*pieces, **more)
    return caught.value.message


def by_others(form: bytes) -> list[tuple[bytes, bytes]]:
    """The last header and the content of each part, as python-multipart reads them, and with it vLLM."""
    parts: list[list[bytes]] = []

    def begin() -> None:
        parts.append([b"", b""])

    def take_head(data: bytes, start: int, end: int) -> None:
        parts[-1][0] = data[start:end]

    def take(data: bytes, start: int, end: int) -> None:
        parts[-1][1] += data[start:end]

    heard: Any = {"on_part_begin": begin, "on_header_value": take_head, "on_part_data": take}
    parser = MultipartParser(B, heard)
    parser.write(form)
    parser.finalize()
    return [(head, data) for head, data in parts]


def models_by_others(form: bytes) -> list[bytes]:
    return [data for head, data in by_others(form) if parse_options_header(head)[1].get(b"name") == b"model"]


# however it is cut


@dataclass(frozen=True)
class Form:
    """A form that names a model: what stands before the name, the name, and what stands after it."""

    before: bytes
    value: bytes
    after: bytes

    @property
    def whole(self) -> bytes:
        return self.before + self.value + self.after

    @property
    def rewritten(self) -> bytes:
        return self.before + SERVED.encode() + self.after


HEAD = 'Content-Disposition: form-data; name="model"'


def naming(*before: bytes, then: bytes = b"", value: bytes = b"stt", head: str = HEAD, end: bytes = END) -> Form:
    return Form(b"".join(before) + f"--{B}\r\n{head}\r\n\r\n".encode(), value, b"\r\n" + then + end)


FORMS = {
    "model first": naming(then=SMALL),
    "model last": naming(SMALL, LANGUAGE),
    "model between": naming(LANGUAGE, then=SMALL),
    "model after a large file": naming(LARGE),
    "model before a large file": naming(then=LARGE + LANGUAGE),
    "model between large files": naming(LARGE, then=LARGE),
    "an empty model": naming(then=SMALL, value=b""),
    "lines in a model": naming(then=SMALL, value=b"a\r\n\r\nb\r\n--b0undar"),
    "no line after the end": naming(SMALL, end=END[:-2]),
    "an epilogue": naming(SMALL, end=END + b"and so on\r\n"),
    "an epilogue that looks like a form": naming(then=SMALL, end=END + a_form(field("model", b"other"))),
    "heads in other words": naming(
        then=SMALL, head="Content-Type: text/plain\r\nCONTENT-disposition:form-data;name=model"
    ),
    "a file called model": naming(field("file", b"x", '; filename="model"')),
    "a form within a file": naming(file(a_form(MODEL).replace(B.encode(), b"another"))),
    "a longer boundary in a file": naming(file(f"x\r\n--{B}2\r\n{HEAD}\r\n\r\nno".encode())),
    "boundaries within lines of a file": naming(file(f"--{B} \r\n --{B}\n--{B}\r--{B}\r\n-{B}".encode())),
}
SMALL_FORMS = {name: form for name, form in FORMS.items() if len(form.whole) < 2000}
TO_BE_STREAMED = FORMS["model before a large file"]
forms = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
some_forms = pytest.mark.parametrize(
    "form", [FORMS["model first"], TO_BE_STREAMED, FORMS["model after a large file"]], ids=["small", "streamed", "held"]
)


@forms
async def test_only_the_value_of_model_changes(form: Form) -> None:
    assert await passed(form.whole) == (form.value.decode(), form.rewritten)


@forms
async def test_others_read_the_same_form_with_the_new_model(form: Form) -> None:
    _, found = await passed(form.whole)
    assert models_by_others(form.whole) == [form.value]
    assert models_by_others(found) == [SERVED.encode()]
    assert len(by_others(found)) == len(by_others(form.whole))


@given(form=st.sampled_from(list(FORMS.values())), cuts=st.lists(st.integers(0, 2**20), max_size=12))
def test_any_split_gives_the_same(form: Form, cuts: list[int]) -> None:
    assert at_once(passed(*split(form.whole, cuts))) == (form.value.decode(), form.rewritten)


@pytest.mark.parametrize("form", SMALL_FORMS.values(), ids=SMALL_FORMS)
def test_a_cut_anywhere_in_a_small_form_gives_the_same(form: Form) -> None:
    data = form.whole
    for pieces in (*(split(data, [cut]) for cut in range(len(data))), every(data, 1)):
        assert at_once(passed(*pieces)) == (form.value.decode(), form.rewritten)


@given(
    contents=st.lists(st.lists(st.sampled_from([b"\r\n", b"--", B.encode(), b"-", b"\r", b"\n", b"x"]), max_size=8)),
    before=st.integers(0, 3),
    cuts=st.lists(st.integers(0, 2**20), max_size=6),
)
def test_what_others_take_for_a_field_is_taken_for_one_here(
    contents: list[list[bytes]], before: int, cuts: list[int]
) -> None:
    """Whatever a file holds: with another eye for boundaries, another model could be had than was asked for."""
    parts = [file(b"".join(pieces)) for pieces in contents]
    form = a_form(*parts[:before], MODEL, *parts[before:])
    try:
        named = models_by_others(form)
    except ValueError:  # a file happened to hold a boundary
        return
    try:
        model, found = at_once(passed(*split(form, cuts)))
    except BadRequest:
        assert named != [b"stt"]
        return
    assert named == [model.encode()]
    assert models_by_others(found) == [SERVED.encode()]


# held and streamed


async def test_a_small_form_is_held_whole_and_can_be_sent_again() -> None:
    upload = an_upload(*every(FORMS["model first"].whole, 7))
    await upload.begin()
    first = await sent(upload)
    assert upload.again
    assert await sent(upload) == first
    assert b"another" in await sent(upload, "another")


async def test_a_large_form_is_sent_on_while_it_comes_in() -> None:
    pieces = every(TO_BE_STREAMED.whole, 1000)
    client = Client(pieces)
    upload = Upload(
        b"multipart/form-data; boundary=" + B.encode(), None, client.receive, MOST, cast(Visitor, present := Present())
    )
    await upload.begin()
    held = client.sent
    assert held * 1000 < HOLD_BYTES + 2000
    assert present.told == 0
    body, _ = upload.with_model(SERVED)
    assert not isinstance(body, bytes)
    parts = []
    async for part in body:
        parts.append(part)
        assert client.sent == held + len(parts) - 1, "one goes out before the next is asked for"
    assert b"".join(parts) == TO_BE_STREAMED.rewritten
    assert present.told == 1


async def test_a_stream_can_be_begun_again_until_something_went_out() -> None:
    upload = an_upload(*every(TO_BE_STREAMED.whole, 10_000))
    await upload.begin()
    never_read, _ = upload.with_model("no one")
    assert not isinstance(never_read, bytes)
    body, _ = upload.with_model(SERVED)
    assert upload.again
    assert not isinstance(body, bytes)
    await anext(body)
    await anext(body)
    assert not upload.again
    await cast(Any, body).aclose()
    await cast(Any, never_read).aclose()


async def test_little_is_held_of_what_streams_by() -> None:
    """Of a file, and of many parts."""
    parts = [LARGE, *[field("x", b"y" * 500)] * 300, LARGE]
    upload = an_upload(*every(a_form(MODEL, *parts), 4096))
    await upload.begin()
    body, _ = upload.with_model(SERVED)
    assert not isinstance(body, bytes)
    await anext(body)
    async for _ in body:
        assert len(upload._held) <= MOST_PART_HEAD + 2 * 4096


async def test_a_model_that_comes_late_is_waited_for() -> None:
    upload = an_upload(*every(FORMS["model after a large file"].whole, 5000))
    await upload.begin()
    assert len(upload._held) > HOLD_BYTES
    assert await sent(upload) == FORMS["model after a large file"].rewritten


@pytest.mark.parametrize("served", ["", "s", "stt", SERVED, "x" * 5000])
@some_forms
async def test_the_length_that_is_told_is_the_one_that_comes(form: Form, served: str) -> None:
    upload = an_upload(*every(form.whole, 20_000))
    await upload.begin()
    _, length = upload.with_model(served)
    assert length == len(form.whole) - 3 + len(served.encode()) == len(await sent(upload, served))


@pytest.mark.parametrize("declared", [None, b"?", b"-5"])
async def test_a_length_that_is_not_known_is_not_told(declared: bytes | None) -> None:
    upload = an_upload(*every(TO_BE_STREAMED.whole, 20_000), declared=declared)
    await upload.begin()
    assert upload.with_model(SERVED)[1] is None
    assert await sent(upload) == TO_BE_STREAMED.rewritten


# refused


@pytest.mark.parametrize(
    "content_type",
    [
        "", "application/json", "multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=x",
        f"multipart/form-data; boundary={'x' * 71}", f"text/plain; multipart/form-data; boundary={B}",
    ],
)  # fmt: skip
def test_what_is_no_form_is_refused(content_type: str) -> None:
    with pytest.raises(UnsupportedMedia):
        an_upload(content_type=content_type)


@pytest.mark.parametrize(
    "content_type",
    [f'multipart/form-data; boundary="{B}"', f"Multipart/Form-Data;BOUNDARY={B}; charset=utf-8",
     f"multipart/form-data; charset=utf-8; boundary={B}"],
)  # fmt: skip
async def test_a_boundary_may_be_given_in_other_words(content_type: str) -> None:
    assert (await passed(FORMS["model last"].whole, content_type=content_type))[0] == "stt"


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (b"", "model: is missing"),
        (END, "model: is missing"),
        (a_form(SMALL), "model: is missing"),
        (a_form(LARGE), "model: is missing"),
        (MODEL, "model: is missing"),
        (MODEL[:-2] + b"\r\n--b0undar", "model: is missing"),
        (MODEL[:-2] + b"\r\n--b0undary", "model: is missing"),
        (a_form() + MODEL, "model: is missing"),
        (b"hello, who is there", "does not begin"),
        (b"preamble\r\n" + a_form(MODEL), "does not begin"),
        (a_form(MODEL).replace(B.encode(), b"b0undaryX"), "does not begin"),
        (json.dumps({"model": "stt"}).encode(), "does not begin"),
        (a_form(MODEL, MODEL), "model: is given twice"),
        (a_form(MODEL, LARGE, MODEL), "model: is given twice"),
        (a_form(MODEL, *[LANGUAGE] * 2000, MODEL), "model: is given twice"),
        (a_form(field("model", b"x", '; filename="m"'), MODEL), "model: is a file"),
        (a_form(field("model", b"\xff")), "model: is not UTF-8"),
    ],
)
async def test_a_form_that_cannot_be_routed_is_refused(form: bytes, said: str) -> None:
    assert said in await refusal(form)
    assert said in await refusal(*every(form, 1000)) if form else True


@given(form=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=4))
def test_garbage_is_refused(form: bytes, cuts: list[int]) -> None:
    for data in (form, MODEL + form, a_form(MODEL, LARGE) + form, f"--{B}\r\n".encode() + form):
        try:
            at_once(passed(*(split(data, cuts) if data else [b""])))
        except BadRequest as refused:
            assert refused.message


@pytest.mark.parametrize("size", [0, 1000, HOLD_BYTES])
async def test_a_second_model_is_refused_however_the_pieces_fall(size: int) -> None:
    """Also while the first is on its way already."""
    form = a_form(MODEL, LARGE, file(b"x" * size), field("model", b"other"), SMALL)
    for step in (1000, 1009, HOLD_BYTES):
        assert "given twice" in await refusal(*every(form, step))


@some_forms
async def test_a_form_that_is_too_large_is_refused_where_it_becomes_so(form: Form) -> None:
    pieces = every(form.whole, 10_000)
    with pytest.raises(BodyTooLarge):
        await passed(*pieces, most=len(form.whole) - 1)
    assert (await passed(*pieces, most=len(form.whole)))[0] == "stt"


async def test_a_form_that_is_too_large_is_not_read_on() -> None:
    client = Client([a_form(MODEL), *[b"x" * 1000] * 100])
    upload = Upload(
        b"multipart/form-data; boundary=" + B.encode(), None, client.receive, 10_000, cast(Visitor, Present())
    )
    with pytest.raises(BodyTooLarge):
        await upload.begin()
    assert client.sent == 11


@some_forms
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
async def test_a_client_that_leaves_is_gone(form: Form, share: float) -> None:
    pieces = every(form.whole, 10_000)
    with pytest.raises(ClientGone):
        await passed(*pieces[: int(len(pieces) * share)], leaves=True)


async def test_a_part_whose_head_is_too_long_to_look_at_is_refused() -> None:
    """It might be a second `model`."""
    hidden = field("model", b"secret", "\r\nX-Filler: " + "x" * MOST_PART_HEAD)
    assert "head" in await refusal(a_form(MODEL, hidden))
