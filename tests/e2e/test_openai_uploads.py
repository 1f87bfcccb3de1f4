"""Recordings: sent on as they come in, byte for byte but for the value of `model`, and no larger than allowed."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx2
import pytest

from .asking import a_session, a_sound
from .models import AUDIO, SERVED_AS, SOON_S, Models, Recorder
from .routers import BODY_LIMIT, Router, raw_exchange, wait_for_idle

PATH = "/v1/audio/transcriptions"
PATHS = [PATH, "/v1/audio/translations"]
BOUNDARY = "----Boundary7MA4.YWxk_x"
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def field(name: str, value: str) -> bytes:
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


def file(data: bytes, name: str = "a.wav") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: audio/wav'
    return head.encode() + b"\r\n\r\n" + data + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()
EVERY_BYTE = bytes(range(256)) * 40
TRICKY = (
    b'\r\n--Boundary\r\nContent-Disposition: form-data; name="model"\r\n\r\nauto\r\n'
    + f"\r\n--{BOUNDARY[:-1]}\r\n--{BOUNDARY}".encode()[:-3]
    + b'"model": "auto"\r\n\r\n--'
)

# `@` stands where the value of `model` is.
FORMS: dict[str, bytes] = {
    "model first": field("model", "@") + field("language", "en") + file(a_sound()) + END,
    "model last": file(a_sound()) + field("language", "en") + field("model", "@") + END,
    "model between": field("prompt", "auto") + field("model", "@") + file(EVERY_BYTE) + field("temperature", "0") + END,
    "every byte": field("model", "@") + file(EVERY_BYTE * 20) + END,
    "every byte, model last": file(EVERY_BYTE * 20) + field("model", "@") + END,
    "a file that looks like a form": field("model", "@") + file(TRICKY) + END,
    "a file that looks like a form, model last": file(TRICKY) + field("model", "@") + END,
    "names like model": field("model_", "auto")
    + field("Model", "auto")
    + field("xmodel", "auto")
    + field("model", "@")
    + (file(a_sound()) + END),
    "a file named model": file(a_sound(), name="model") + field("model", "@") + END,
    "lists": field("timestamp_granularities[]", "word")
    + field("timestamp_granularities[]", "segment")
    + (field("model", "@") + file(a_sound()) + END),
    "unicode": field("prompt", "ग ü 🙂\r\n\r\nsecond") + field("model", "@") + file(a_sound(), name="größe.wav") + END,
    "an epilogue": field("model", "@") + file(a_sound()) + END + b"after\r\n",
    "an empty file": field("model", "@") + file(b"") + END,
    "more headers": field("model", "@").replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n")
    + (file(a_sound()) + END),
}


def upload(router: Router, form: bytes, path: str = PATH, content_type: str = FORM_TYPE) -> httpx2.Response:
    return router.http.post(path, content=form, headers={"Content-Type": content_type, "X-Session-ID": a_session()})


def filled(form: bytes, model: str) -> bytes:
    return form.replace(b"\r\n\r\n@\r\n", b"\r\n\r\n" + model.encode() + b"\r\n")


@pytest.mark.parametrize("model", ["auto", "stt", AUDIO])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_a_form_arrives_as_it_was_sent_but_for_its_model(
    recorded_router: Router, recorder: Recorder, form: bytes, model: str
) -> None:
    response = upload(recorded_router, filled(form, model))
    assert response.status_code == 200, response.text
    assert response.headers["x-route-model"] == AUDIO
    taken = recorder.last
    assert (taken.path, taken.header("content-type")) == (PATH, FORM_TYPE)
    assert taken.body == filled(form, SERVED_AS[AUDIO])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("form", ["model first", "model last", "unicode"])
def test_a_model_server_can_read_it(embedded_router: Router, models: Models, path: str, form: str) -> None:
    sent = filled(FORMS[form], AUDIO)
    response = upload(embedded_router, sent, path)
    direct = models.audio.http.post(models.audio.url + path, content=sent, headers={"Content-Type": FORM_TYPE})
    assert (response.status_code, response.content) == (200, direct.content)


@pytest.mark.parametrize("model", ["auto", "stt", AUDIO])
def test_the_use_case_is_listening(embedded_router: Router, models: Models, model: str) -> None:
    response = upload(embedded_router, filled(FORMS["model last"], model))
    assert response.status_code == 200, response.text
    assert response.headers["x-route-model"] == AUDIO
    if model != AUDIO:
        assert response.headers["x-route-use-case"] == "stt"


@pytest.mark.parametrize(
    "content_type", [f'multipart/form-data; boundary="{BOUNDARY}"', FORM_TYPE.replace("; ", ";  ")]
)
def test_a_boundary_may_be_quoted(recorded_router: Router, recorder: Recorder, content_type: str) -> None:
    response = upload(recorded_router, filled(FORMS["model last"], "stt"), content_type=content_type)
    assert response.status_code == 200, response.text
    assert recorder.last.header("content-type") == content_type


def test_a_chunked_upload_is_taken(recorded_router: Router, recorder: Recorder) -> None:
    """Chunks that cut names, values and boundaries in two."""
    for name in ("model first", "model last", "a file that looks like a form"):
        form = filled(FORMS[name], "auto")
        pieces = (form[at : at + 7] for at in range(0, len(form), 7))
        headers = {"Content-Type": FORM_TYPE, "X-Session-ID": a_session()}
        response = recorded_router.http.post(PATH, content=pieces, headers=headers)
        assert response.status_code == 200, response.text
        assert recorder.last.body == filled(FORMS[name], SERVED_AS[AUDIO])


@contextmanager
def sending(router: Router, form_start: bytes, length: int) -> Iterator[socket.socket]:
    """A client that has sent the start of a form of *length* bytes."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: r\r\nContent-Type: {FORM_TYPE}\r\nContent-Length: {length}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", router.port), timeout=SOON_S) as connection:
        connection.sendall(head.encode() + form_start)
        yield connection


def test_an_upload_is_sent_on_while_it_comes_in(recorded_router: Router, recorder: Recorder) -> None:
    form = filled(field("model", "@") + file(EVERY_BYTE * 60) + END, "auto")
    half = len(form) // 2
    with sending(recorded_router, form[:half], len(form)) as connection:
        recorder.wait_for(lambda it: bool(it.requests) and len(it.last.body) > half // 2, "the first half")
        assert not recorder.last.whole
        connection.sendall(form[half:])
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
    assert recorder.last.body == form.replace(b"\r\nauto\r\n", f"\r\n{SERVED_AS[AUDIO]}\r\n".encode())


def test_a_client_that_leaves_in_the_middle_of_its_upload_leaves_nothing(
    recorded_router: Router, recorder: Recorder
) -> None:
    form = filled(field("model", "@") + file(EVERY_BYTE * 60) + END, "auto")
    with sending(recorded_router, form[: len(form) // 2], len(form)):
        recorder.wait_for(lambda it: bool(it.requests), "the first half")
    left = time.monotonic()
    recorder.wait_for(lambda it: it.closed.is_set(), "the end of the connection")
    assert time.monotonic() - left < 1.5
    wait_for_idle(recorded_router)
    assert upload(recorded_router, filled(FORMS["model last"], "auto")).status_code == 200


def test_an_upload_declared_too_large_is_refused_unread(recorded_router: Router, recorder: Recorder) -> None:
    with sending(recorded_router, b"", BODY_LIMIT + 1) as connection:
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")
    assert not recorder.requests


@pytest.mark.parametrize("start", [field("model", "stt") + file(b"")[:-2], file(b"")[:-2]], ids=["model", "file first"])
def test_a_chunked_upload_too_large_is_refused_before_its_end(
    recorded_router: Router, recorder: Recorder, start: bytes
) -> None:
    """Also where its beginning has been sent on already: that exchange is given up."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: r\r\nContent-Type: {FORM_TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    parts = [f"{len(start):x}\r\n".encode() + start + b"\r\n", *[chunk] * (BODY_LIMIT // 65_536 + 1)]
    with socket.create_connection(("127.0.0.1", recorded_router.port), timeout=SOON_S) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # refused in the middle, which is right
            for part in (head.encode(), *parts):
                connection.sendall(part)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")
    assert not any(taken.whole for taken in recorder.requests)
    wait_for_idle(recorded_router)


REFUSED: dict[str, tuple[bytes, str, set[int], str]] = {
    "no model": (file(a_sound()) + END, FORM_TYPE, {400}, "model"),
    "an unknown model": (field("model", "gpt-nine") + file(a_sound()) + END, FORM_TYPE, {404}, "gpt-nine"),
    "an unknown model last": (file(a_sound()) + field("model", "gpt-nine") + END, FORM_TYPE, {404}, "stt"),
    "a model of megabytes": (field("model", "x" * 500_000) + file(a_sound()) + END, FORM_TYPE, {400, 404, 413}, ""),
    "nothing": (b"", FORM_TYPE, {400}, ""),
    "no form": (b'{"model": "stt"}', FORM_TYPE, {400}, ""),
    "another boundary": (field("model", "stt") + file(a_sound()) + END, "multipart/form-data; boundary=x", {400}, ""),
    "no boundary": (field("model", "stt") + file(a_sound()) + END, "multipart/form-data", {400, 415}, ""),
    "an empty boundary": (field("model", "stt") + END, "multipart/form-data; boundary=", {400, 415}, ""),
    "JSON": (b'{"model": "stt"}', "application/json", {415}, "multipart/form-data"),
    "bare bytes": (a_sound(), "audio/wav", {415}, "multipart/form-data"),
}


@pytest.mark.parametrize(("form", "content_type", "statuses", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_an_upload_that_cannot_be_routed_is_refused(
    recorded_router: Router, recorder: Recorder, form: bytes, content_type: str, statuses: set[int], said: str
) -> None:
    response = upload(recorded_router, form, content_type=content_type)
    assert response.status_code in statuses, response.text
    assert response.json()["error"].keys() == {"message", "type", "param", "code"}
    assert said in response.json()["error"]["message"]
    assert len(response.content) < 2_000
    assert not recorder.requests


@pytest.mark.parametrize("form", [FORMS["model first"], FORMS["model last"]], ids=["model first", "model last"])
@pytest.mark.parametrize("cut", [1, 4, 60])
def test_a_form_cut_short_is_never_our_fault(recorded_router: Router, form: bytes, cut: int) -> None:
    """Where `model` has been read, what remains is the model server's business."""
    assert upload(recorded_router, filled(form, "stt")[: -len(END) - cut]).status_code in (200, 400)


def test_two_models_in_a_form_leave_only_one(recorded_router: Router, recorder: Recorder) -> None:
    """Of several values vLLM's web framework takes the last: it must be no other than the router says."""
    form = field("model", "stt") + file(a_sound()) + field("model", "agent") + END
    response = upload(recorded_router, form)
    if response.status_code == 200:
        named = re.findall(rb'name="model"\r\n\r\n(.*)\r\n', recorder.last.body)
        assert named[-1].decode() == SERVED_AS[AUDIO]
    else:
        assert response.status_code == 400


def test_a_refusal_of_the_model_server_passes_unchanged(embedded_router: Router, models: Models) -> None:
    form = field("model", AUDIO) + file(b"no sound at all") + END
    response = upload(embedded_router, form)
    direct = models.audio.http.post(models.audio.url + PATH, content=form, headers={"Content-Type": FORM_TYPE})
    assert (response.status_code, response.content) == (400, direct.content)


def test_an_upload_with_two_framings_is_a_400(recorded_router: Router, recorder: Recorder) -> None:
    head = f"POST {PATH} HTTP/1.1\r\nHost: r\r\nContent-Type: {FORM_TYPE}\r\n"
    framing = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert raw_exchange(recorded_router, (head + framing).encode()).startswith(b"HTTP/1.1 400 ")
    assert not recorder.requests
