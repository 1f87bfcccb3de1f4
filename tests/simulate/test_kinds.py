"""What each kind of server can do: pictures, sounds, speech, vectors."""

import base64
import io
import math
import wave
from typing import Any

import aiohttp
import pytest

from smart_router.simulate import Kind

from .asking import CHAT, ask, refused, said, saying

Urls = dict[Kind, str]
TRANSCRIPTIONS, TRANSLATIONS = "/v1/audio/transcriptions", "/v1/audio/translations"
SPEECH, EMBEDDINGS = "/v1/audio/speech", "/v1/embeddings"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n and so on").decode()
PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
VIDEO = {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}


def seeing(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, *parts]}]}


def a_recording(duration_s: float = 1.5) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        sound.writeframes(bytes(round(duration_s * 16_000) * 2))
    return file.getvalue()


async def send_file(http: aiohttp.ClientSession, url: str, data: bytes, **fields: str) -> tuple[int, str]:
    form = aiohttp.FormData(fields)
    form.add_field("file", data, filename="tone.wav", content_type="audio/wav")
    async with http.post(url, data=form) as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("text", (TRANSCRIPTIONS, TRANSLATIONS, SPEECH, EMBEDDINGS)),
        ("image", (TRANSCRIPTIONS, TRANSLATIONS, SPEECH, EMBEDDINGS)),
        ("audio", (CHAT, "/v1/completions", "/v1/responses", "/v1/messages", SPEECH, EMBEDDINGS)),
    ],
)
async def test_what_a_model_cannot_do_has_no_path(
    urls: Urls, http: aiohttp.ClientSession, kind: Kind, missing: tuple[str, ...]
) -> None:
    for path in missing:
        assert await refused(http, urls[kind] + path, saying()) == (404, {"detail": "Not Found"})


async def test_an_image_model_takes_pictures_and_videos(urls: Urls, http: aiohttp.ClientSession) -> None:
    answer = await said(http, urls["image"], seeing(PICTURE, PICTURE, VIDEO))
    assert answer.endswith("You said: What is this? (2 images attached, 1 video attached)")


async def test_an_attachment_costs_tokens(urls: Urls, http: aiohttp.ClientSession) -> None:
    plain = await ask(http, urls["image"] + CHAT, seeing())
    with_picture = await ask(http, urls["image"] + CHAT, seeing(PICTURE))
    assert with_picture["usage"]["prompt_tokens"] == plain["usage"]["prompt_tokens"] + 64


async def test_an_address_on_the_web_is_not_fetched(urls: Urls, http: aiohttp.ClientSession) -> None:
    far_away = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/x.png"}}
    assert "1 image attached" in await said(http, urls["image"], seeing(far_away))


@pytest.mark.parametrize(
    ("url", "status"),
    [("data:image/png;base64,???", 400), ("data:image/png;base64,AAAA", 400), ("file:///etc/hostname", 500)],
)
async def test_a_picture_that_cannot_be_read_is_refused(
    urls: Urls, http: aiohttp.ClientSession, url: str, status: int
) -> None:
    body = seeing({"type": "image_url", "image_url": {"url": url}})
    answered, told = await refused(http, urls["image"] + CHAT, body)
    assert (answered, told["error"]["code"]) == (status, status)


async def test_an_image_model_takes_no_sound(urls: Urls, http: aiohttp.ClientSession) -> None:
    status, told = await refused(http, urls["image"] + CHAT, seeing(SOUND))
    assert (status, told["error"]["param"]) == (400, "audio")


async def test_any_takes_everything_at_once(urls: Urls, http: aiohttp.ClientSession) -> None:
    answer = await said(http, urls["any"], seeing(PICTURE, VIDEO, SOUND))
    assert "(1 image attached, 1 video attached, 1 audio attached)" in answer


@pytest.mark.parametrize("kind", ["audio", "any"])
async def test_a_transcript_tells_size_and_duration(urls: Urls, http: aiohttp.ClientSession, kind: Kind) -> None:
    status, told = await send_file(http, urls[kind] + TRANSCRIPTIONS, a_recording(1.5))
    assert status == 200
    assert "simulated" in told and "48044 bytes, 1.5 s" in told
    assert '"usage":{"type":"duration","seconds":2}' in told


async def test_a_detailed_transcript_has_a_segment(urls: Urls, http: aiohttp.ClientSession) -> None:
    _, told = await send_file(http, urls["audio"] + TRANSCRIPTIONS, a_recording(), response_format="verbose_json")
    assert '"duration":1.5,"language":"en"' in told and '"end":1.5' in told


async def test_a_transcript_can_be_streamed(urls: Urls, http: aiohttp.ClientSession) -> None:
    _, told = await send_file(http, urls["audio"] + TRANSCRIPTIONS, a_recording(), stream="true")
    assert told.count('"object":"transcription.chunk"') > 5
    assert told.endswith("data: [DONE]\n\n")


async def test_a_translation_says_that_it_is_one(urls: Urls, http: aiohttp.ClientSession) -> None:
    _, told = await send_file(http, urls["audio"] + TRANSLATIONS, a_recording())
    assert "This translation stands for" in told


@pytest.mark.parametrize(
    ("data", "fields", "param"),
    [
        (b"no sound", {}, None),
        (b"", {}, None),
        (a_recording(), {"response_format": "srt"}, None),
        (a_recording(), {"response_format": "poem"}, "body.response_format"),
        (a_recording(), {"language": "xx"}, None),
    ],
)
async def test_a_sound_request_that_cannot_be_served_is_refused(
    urls: Urls, http: aiohttp.ClientSession, data: bytes, fields: dict[str, str], param: str | None
) -> None:
    form = aiohttp.FormData(fields)
    form.add_field("file", data, filename="tone.wav")
    async with http.post(urls["audio"] + TRANSCRIPTIONS, data=form) as answer:
        assert (answer.status, (await answer.json())["error"]["param"]) == (400, param)


async def test_a_transcription_needs_a_file(urls: Urls, http: aiohttp.ClientSession) -> None:
    status, told = await refused(http, urls["audio"] + TRANSCRIPTIONS, {"model": "x"})
    assert (status, told["error"]["param"]) == (400, "body.file")


async def test_a_file_arrives_byte_for_byte(urls: Urls, http: aiohttp.ClientSession) -> None:
    awkward = a_recording() + b"\r\n--\r\n\n\r"
    _, told = await send_file(http, urls["audio"] + TRANSCRIPTIONS, awkward)
    assert f"{len(awkward)} bytes" in told


async def test_speech_is_a_wav_of_the_texts_length(urls: Urls, http: aiohttp.ClientSession) -> None:
    async with http.post(urls["any"] + SPEECH, json={"input": "one two three four five", "voice": "x"}) as answer:
        assert answer.headers["content-type"] == "audio/wav"
        spoken = await answer.read()
    assert b"simulated" in spoken
    with wave.open(io.BytesIO(spoken)) as file:
        assert (file.getframerate(), file.getnframes()) == (16_000, 6_400)


async def test_speech_in_another_format_is_refused(urls: Urls, http: aiohttp.ClientSession) -> None:
    status, told = await refused(http, urls["any"] + SPEECH, {"input": "x", "response_format": "opus"})
    assert (status, told["error"]["param"]) == (400, "response_format")


async def test_embeddings_are_unit_vectors_and_always_the_same(urls: Urls, http: aiohttp.ClientSession) -> None:
    first = await ask(http, urls["any"] + EMBEDDINGS, {"input": ["a cat", "a dog"]})
    again = await ask(http, urls["any"] + EMBEDDINGS, {"input": ["a cat", "a dog"]})
    cat, dog = (item["embedding"] for item in first["data"])
    assert math.isclose(sum(value**2 for value in cat), 1, rel_tol=1e-5)
    assert cat != dog
    assert first["data"] == again["data"]


async def test_embeddings_can_be_packed(urls: Urls, http: aiohttp.ClientSession) -> None:
    asked = {"input": "a cat", "dimensions": 8, "encoding_format": "base64"}
    told = await ask(http, urls["any"] + EMBEDDINGS, asked)
    assert len(base64.b64decode(told["data"][0]["embedding"])) == 8 * 4


async def test_whisper_counts_no_tokens(urls: Urls, http: aiohttp.ClientSession) -> None:
    assert (await ask(http, f"{urls['audio']}/tokenize", {"prompt": "Hello"}))["count"] == 0
