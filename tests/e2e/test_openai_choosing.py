"""`auto`, use cases and model ids: which model answers, and why."""

from typing import Any

import httpx2
import pytest

from .asking import ALOUD, CHAT, FOLLOW_UP, PICTURE, PYTHON, a_picture, a_png, a_session, a_text, a_wav, assistant, user
from .models import AGENT, AUDIO, MULTIMODAL, Models
from .routers import Router

MODEL_OF = {
    "agent": AGENT,
    "multimodal": MULTIMODAL,
    "video": MULTIMODAL,
    "avatar": MULTIMODAL,
    "stt": AUDIO,
    "tts": AUDIO,
}
AN_ADDRESS = "https://example.com/a/file?of=mine&size=1"
SYSTEM = {"role": "system", "content": "You write Python code. Answer with nothing but a Python function."}
AN_IMAGE_BLOCK = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": a_png()}}
A_SOUND = {"type": "input_audio", "input_audio": {"data": a_wav(), "format": "wav"}}
A_VIDEO = {"type": "video_url", "video_url": {"url": AN_ADDRESS}}


@pytest.fixture
def router(embedded_router: Router) -> Router:
    return embedded_router


def chosen(response: httpx2.Response) -> tuple[str, str, str]:
    """Use case, reason and bypass of an answer that must be a 200 of the use case's model."""
    assert response.status_code == 200, response.text
    headers = response.headers
    assert headers["x-route-model"] == MODEL_OF[headers["x-route-use-case"]]
    return headers["x-route-use-case"], headers["x-route-reason"], headers["x-route-bypass"]


@pytest.mark.parametrize(
    ("text", "use_case"),
    [
        (PYTHON, "agent"),
        ("Transcribe the recording of our meeting into text", "stt"),
        ("Read this text aloud in a warm female voice", "tts"),
        ("What happens in this video clip at the two minute mark?", "video"),
        ("Create a talking avatar from my portrait photo", "avatar"),
        ("Describe what you see in this photo", "multimodal"),
    ],
)
def test_words_alone_decide(router: Router, models: Models, text: str, use_case: str) -> None:
    response = router.chat(text)
    assert chosen(response) == (use_case, "classified", "false")
    assert response.json()["model"] == MODEL_OF[use_case]


ASKED: list[tuple[str, dict[str, Any]]] = [
    (CHAT, {"messages": [user(ALOUD)]}),
    (CHAT, {"messages": [user(a_text(ALOUD))]}),
    (CHAT, {"messages": [SYSTEM, user(ALOUD)]}),
    (CHAT, {"messages": [user(PYTHON), assistant("def f(): pass"), user(ALOUD)]}),
    (CHAT, {"messages": [user(ALOUD), assistant("")]}),
    ("/v1/completions", {"prompt": ALOUD}),
    ("/v1/completions", {"prompt": [ALOUD]}),
    ("/v1/responses", {"input": ALOUD, "instructions": SYSTEM["content"]}),
    ("/v1/responses", {"input": [user(ALOUD)]}),
    ("/v1/responses", {"input": [user({"type": "input_text", "text": ALOUD})]}),
    ("/v1/messages", {"max_tokens": 9, "messages": [user(ALOUD)], "system": SYSTEM["content"]}),
    ("/v1/messages", {"max_tokens": 9, "messages": [user(a_text(ALOUD))], "system": [a_text(SYSTEM["content"])]}),
]


@pytest.mark.parametrize(("path", "body"), ASKED)
def test_what_the_user_said_last_decides(router: Router, path: str, body: dict[str, Any]) -> None:
    assert chosen(router.post(path, {"model": "auto"} | body)) == ("tts", "classified", "false")


@pytest.mark.parametrize("use_case", MODEL_OF)
def test_a_use_case_is_an_explicit_choice(router: Router, use_case: str) -> None:
    response = router.chat(PYTHON, model=use_case)
    assert chosen(response) == (use_case, "explicit", "false")


@pytest.mark.parametrize("model", [AGENT, MULTIMODAL, AUDIO])
def test_a_model_is_an_explicit_choice(router: Router, model: str) -> None:
    response = router.chat(ALOUD, model=model)
    use_case, reason, bypass = chosen(response)
    assert (MODEL_OF[use_case], reason, bypass) == (model, "explicit", "false")


@pytest.mark.parametrize("model", ["stt", AUDIO])
def test_an_explicit_choice_beats_the_session(router: Router, model: str) -> None:
    session = a_session()
    router.chatted(PYTHON, session=session)
    response = router.chat(FOLLOW_UP, session=session, model=model)
    assert (response.headers["x-route-model"], response.headers["x-route-reason"]) == (AUDIO, "explicit")


MEDIA: list[tuple[str, dict[str, Any], set[str]]] = [
    (CHAT, {"messages": [user(a_text(PICTURE), a_picture())]}, {"multimodal"}),
    (CHAT, {"messages": [user(a_picture(AN_ADDRESS), a_text(PICTURE))]}, {"multimodal"}),
    (CHAT, {"messages": [user(a_text(PYTHON), a_picture())]}, {"multimodal", "avatar"}),
    (CHAT, {"messages": [user(a_picture(), a_picture())]}, {"multimodal", "avatar"}),
    (CHAT, {"messages": [user(a_text("What happens in this clip?"), A_VIDEO)]}, {"video"}),
    (CHAT, {"messages": [user(a_text("Write down what is said in this recording"), A_SOUND)]}, {"stt"}),
    (
        "/v1/responses",
        {"input": [user({"type": "input_text", "text": PICTURE}, {"type": "input_image", "image_url": AN_ADDRESS})]},
        {"multimodal"},
    ),
    ("/v1/messages", {"max_tokens": 9, "messages": [user(a_text(PICTURE), AN_IMAGE_BLOCK)]}, {"multimodal"}),
]


@pytest.mark.parametrize(("path", "body", "use_cases"), MEDIA)
def test_what_is_attached_leads_to_a_model_that_takes_it(
    router: Router, path: str, body: dict[str, Any], use_cases: set[str]
) -> None:
    use_case, reason, bypass = chosen(router.post(path, {"model": "auto"} | body))
    assert use_case in use_cases
    assert (reason, bypass) == ("modality", "false")


def test_a_picture_reaches_the_model_as_it_is(router: Router, models: Models) -> None:
    sent = [user(a_text(PICTURE), a_picture(), a_picture(AN_ADDRESS))]
    router.chatted(sent)
    assert models.multimodal.received()[-1]["messages"] == sent


HISTORY = [user(a_text(PICTURE), a_picture()), assistant("A black dot.")]
BLOCKS = [user(a_text(PICTURE), AN_IMAGE_BLOCK), assistant("A black dot.")]
TURNS = ["And what colour is it?", PYTHON, ALOUD]


@pytest.mark.parametrize("text", TURNS)
@pytest.mark.parametrize("known", [False, True], ids=["unknown to the router", "in its session"])
def test_a_conversation_with_a_picture_stays_with_a_model_that_takes_it(router: Router, text: str, known: bool) -> None:
    """The picture goes along with every later turn; a model that takes none would refuse it."""
    session = a_session()
    if known:
        router.chatted(HISTORY[:1], session=session)
    response = router.chat([*HISTORY, user(text)], session=session)
    assert response.status_code == 200, response.text
    assert response.headers["x-route-model"] == MULTIMODAL


@pytest.mark.parametrize("text", TURNS)
def test_so_does_one_in_anthropics_form(router: Router, text: str) -> None:
    response = router.post("/v1/messages", {"model": "auto", "max_tokens": 9, "messages": [*BLOCKS, user(text)]})
    assert response.status_code == 200, response.text
    assert response.headers["x-route-model"] == MULTIMODAL


def test_a_picture_that_joins_a_session_moves_it(router: Router) -> None:
    session = a_session()
    router.chatted(PYTHON, session=session)
    talk = [user(PYTHON), assistant("def f(): pass"), user(a_text(PICTURE), a_picture())]
    assert chosen(router.chat(talk, session=session)) == ("multimodal", "modality", "false")


def test_a_tools_result_is_no_change_of_subject(router: Router) -> None:
    session = a_session()
    router.chatted(PYTHON, session=session)
    call = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": "{}"}}
    talk = [
        user(PYTHON),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "Read this text aloud in a warm female voice"},
    ]
    assert chosen(router.chat(talk, session=session)) == ("agent", "session", "true")


def test_another_use_case_called_for_in_words_moves_the_session(router: Router) -> None:
    session = a_session()
    router.chatted(PYTHON, session=session)
    talk = [user(PYTHON), assistant("def f(): pass"), user(ALOUD)]
    assert chosen(router.chat(talk, session=session)) == ("tts", "switched", "false")


def test_a_picture_for_a_model_that_takes_none_is_the_model_servers_to_refuse(router: Router, models: Models) -> None:
    sent = [user(a_text(PICTURE), a_picture())]
    response = router.chat(sent, model=AGENT)
    direct = models.agent.http.post(models.agent.url + CHAT, json={"model": AGENT, "messages": sent})
    assert (response.status_code, response.content) == (400, direct.content)


@pytest.mark.parametrize(("path", "use_case"), [("/v1/audio/speech", "tts")])
def test_auto_on_a_path_of_one_purpose_is_its_use_case(router: Router, path: str, use_case: str) -> None:
    body = {"model": "auto", "input": PYTHON, "voice": "any", "response_format": "wav"}
    response = router.post(path, body)
    assert response.status_code == 200, response.text
    assert (response.headers["x-route-use-case"], response.headers["x-route-model"]) == (use_case, AUDIO)
