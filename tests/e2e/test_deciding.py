"""Which use case a request is: explicit choice, attachments, hints, words. And /classify, which only tells."""

import time
from typing import Any

import pytest

from .asking import FOLLOW_UP, PICTURE, PYTHON, a_png, a_session, a_wav, an_image
from .models import AGENT, AUDIO, MULTIMODAL, Models, parts
from .redis_process import RedisProcess
from .routers import Router

USE_CASES = {"agent", "multimodal", "video", "stt", "tts", "avatar"}
MODEL_OF = {
    "agent": AGENT,
    "multimodal": MULTIMODAL,
    "video": MULTIMODAL,
    "avatar": MULTIMODAL,
    "stt": AUDIO,
    "tts": AUDIO,
}
AN_ADDRESS = "https://example.com/a/file?of=mine&size=1"


@pytest.mark.parametrize("use_case", sorted(USE_CASES))
def test_an_explicit_choice_is_followed(embedded_router: Router, use_case: str) -> None:
    answer = embedded_router.answer("Hello there", use_case=use_case)
    assert (answer["use_case"], answer["reason"]) == (use_case, "explicit")
    assert answer["selected_model"] == MODEL_OF[use_case]
    assert answer["bypass_used"] is False


def test_an_explicit_choice_beats_the_words(embedded_router: Router) -> None:
    answer = embedded_router.answer(PYTHON, use_case="tts")
    assert (answer["use_case"], answer["reason"]) == ("tts", "explicit")


def test_an_unknown_use_case_is_not_found(router: Router, models: Models) -> None:
    id = a_session()
    response = router.route(PYTHON, session_id=id, use_case="cooking")
    assert response.status_code == 404
    body = response.json()
    assert body["success"] is False
    assert all(use_case in body["error_message"] for use_case in USE_CASES)
    assert not router.knows(id)
    assert models.requests() == 0


@pytest.mark.parametrize(
    ("query", "use_case"),
    [
        (PYTHON, "agent"),
        ("Transcribe the recording of our meeting into text", "stt"),
        ("Read this text aloud in a warm female voice", "tts"),
        ("What happens in this video clip at the two minute mark?", "video"),
        ("Create a talking avatar from my portrait photo", "avatar"),
        ("Describe what you see in this photo", "multimodal"),
    ],
)
def test_words_alone_decide(embedded_router: Router, query: str, use_case: str) -> None:
    answer = embedded_router.answer(query)
    assert (answer["use_case"], answer["reason"]) == (use_case, "classified")


@pytest.mark.parametrize(
    ("modality", "query", "use_case", "admitted"),
    [
        ("image", PICTURE, "multimodal", {"multimodal", "avatar"}),
        ("audio", "Write down what is said in this recording", "stt", {"stt", "tts", "avatar"}),
        ("audio", "Use this voice sample to read my text aloud in the same voice", "tts", {"stt", "tts", "avatar"}),
        ("video", "What is going on in this clip?", "video", {"video", "stt", "avatar"}),
        ("image", PYTHON, None, {"multimodal", "avatar"}),
        ("audio", PYTHON, None, {"stt", "tts", "avatar"}),
        ("video", PYTHON, None, {"video", "stt", "avatar"}),
    ],
)
def test_a_hint_narrows_the_choice_and_the_words_decide(
    embedded_router: Router, modality: str, query: str, use_case: str | None, admitted: set[str]
) -> None:
    answer = embedded_router.answer(query, modality=modality)
    assert answer["use_case"] in admitted
    assert answer["reason"] == "modality"
    assert answer["bypass_used"] is False
    if use_case:
        assert answer["use_case"] == use_case


def test_text_is_a_weak_hint(embedded_router: Router) -> None:
    assert embedded_router.answer(PYTHON, modality="text")["use_case"] == "agent"
    assert embedded_router.answer("Read this text aloud in a warm voice", modality="text")["use_case"] == "tts"


def test_a_hint_beats_the_session(embedded_router: Router) -> None:
    session = a_session()
    embedded_router.answer(PYTHON, session_id=session)
    answer = embedded_router.answer(PICTURE, session_id=session, modality="image")
    assert (answer["use_case"], answer["reason"], answer["context_changed"]) == ("multimodal", "modality", True)


def test_an_image_by_address_reaches_the_model_as_it_is(embedded_router: Router, models: Models) -> None:
    answer = embedded_router.answer(PICTURE, attachments=[{"type": "image", "url": AN_ADDRESS}])
    assert (answer["use_case"], answer["reason"]) == ("multimodal", "modality")
    (part,) = parts(models.multimodal.received()[-1], "image_url")
    assert part["image_url"]["url"] == AN_ADDRESS


def test_several_images_reach_the_model_in_order(embedded_router: Router, models: Models) -> None:
    attachments = [an_image(), {"type": "image", "url": AN_ADDRESS}, an_image()]
    embedded_router.answer("Compare these pictures", attachments=attachments)
    found = parts(models.multimodal.received()[-1], "image_url")
    data = f"data:image/png;base64,{a_png()}"
    assert [part["image_url"]["url"] for part in found] == [data, AN_ADDRESS, data]


def test_a_video_by_address_reaches_the_model_as_it_is(embedded_router: Router, models: Models) -> None:
    answer = embedded_router.answer("What happens in this clip?", attachments=[{"type": "video", "url": AN_ADDRESS}])
    assert (answer["use_case"], answer["reason"]) == ("video", "modality")
    (part,) = parts(models.multimodal.received()[-1], "video_url")
    assert part["video_url"]["url"] == AN_ADDRESS


def test_a_recording_by_data_reaches_the_model(embedded_router: Router, models: Models) -> None:
    attachment = {"type": "audio", "data": a_wav(), "media_type": "audio/wav"}
    answer = embedded_router.answer("Write down what is said in this recording", attachments=[attachment])
    assert (answer["use_case"], answer["reason"]) == ("stt", "modality")
    assert answer["selected_model"] == AUDIO
    body = models.audio.received()[-1]
    assert parts(body, "audio_url") or parts(body, "input_audio")
    assert a_wav() in str(body)


def test_a_recording_by_address_reaches_the_model(embedded_router: Router, models: Models) -> None:
    attachment = {"type": "audio", "url": AN_ADDRESS}
    embedded_router.answer("Write down what is said in this recording", attachments=[attachment])
    (part,) = parts(models.audio.received()[-1], "audio_url")
    assert part["audio_url"]["url"] == AN_ADDRESS


def test_classify_tells_the_decision_and_why(router: Router, models: Models) -> None:
    response = router.classify(PYTHON)
    assert response.status_code == 200
    told = response.json()
    assert told.keys() >= {"use_case", "confidence", "reason", "selected_model", "scores", "because"}
    assert (told["use_case"], told["reason"], told["selected_model"]) == ("agent", "classified", AGENT)
    assert told["scores"].keys() == USE_CASES
    assert sum(told["scores"].values()) == pytest.approx(1, abs=0.01)
    assert max(told["scores"], key=told["scores"].__getitem__) == "agent"
    assert told["confidence"] == pytest.approx(told["scores"]["agent"], abs=0.01)
    assert isinstance(told["because"], dict)
    assert models.requests() == 0


def test_classify_has_a_request_id(embedded_router: Router) -> None:
    assert embedded_router.classify(PYTHON, session_id=a_session()).headers["x-request-id"]


def test_classify_leaves_no_session(router: Router, models: Models) -> None:
    id = a_session()
    assert router.classify(PYTHON, session_id=id).status_code == 200
    assert not router.knows(id)
    assert router.answer(PYTHON, session_id=id)["new_session"] is True


def test_classify_inside_a_session_sees_it_and_leaves_it_alone(router: Router, models: Models) -> None:
    id = a_session()
    router.answer(PYTHON, session_id=id)
    before, sent = router.session(id), models.requests()
    told = router.classify(FOLLOW_UP, session_id=id).json()
    assert told["use_case"] == "agent"
    moved = router.classify(PICTURE, session_id=id, attachments=[an_image()]).json()
    assert (moved["use_case"], moved["reason"]) == ("multimodal", "modality")
    assert router.session(id) == before
    assert models.requests() == sent


def test_classify_says_what_route_then_does(router: Router) -> None:
    id = a_session()
    for request in conversation():
        told = router.classify(**request, session_id=id).json()
        done = router.answer(**request, session_id=id)
        assert (told["use_case"], told["reason"]) == (done["use_case"], done["reason"])
        assert told["selected_model"] == done["selected_model"]


def test_classify_does_not_lengthen_a_sessions_life(redis_router: Router, redis: RedisProcess) -> None:
    id = a_session()
    redis_router.answer(PYTHON, session_id=id)
    before = {key: life for key, life in redis.lives().items() if id in key}
    time.sleep(0.05)
    redis_router.classify(FOLLOW_UP, session_id=id)
    after = {key: life for key, life in redis.lives().items() if id in key}
    assert after.keys() == before.keys()
    assert all(after[key] <= before[key] - 40 for key in before)


def test_classify_does_not_count_as_a_routed_request(router: Router) -> None:
    before = router.get("/stats")["total_requests"]
    router.classify(PYTHON, session_id=a_session())
    assert router.get("/stats")["total_requests"] == before


def test_classify_refuses_what_route_refuses(embedded_router: Router) -> None:
    for request in ({}, {"query": ""}, {"query": PYTHON, "bogus": 1}, {"query": PYTHON, "max_tokens": 0}):
        response = embedded_router.http.post("/classify", json=request)
        assert response.status_code == 400
        assert response.json()["success"] is False


def conversation() -> list[dict[str, Any]]:
    return [
        {"query": PYTHON},
        {"query": FOLLOW_UP},
        {"query": PICTURE, "attachments": [an_image()]},
        {"query": "And what colour is it?"},
        {"query": "Hello", "use_case": "tts"},
    ]
