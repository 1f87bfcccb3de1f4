"""A varied little workload: every use case, streams, follow-ups, changes of mind, errors."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from smart_router.decide.succession import LEAST_SEEN
from tests.e2e.asking import ALOUD, FOLLOW_UP, PICTURE, PYTHON, a_png, a_session, a_wav, an_image, assistant, user
from tests.e2e.models import AGENT, Models
from tests.e2e.routers import Router, until

from .live import NAPS

AT_ONCE = 12
LATER = (
    "and a test for it please",
    "make it shorter",
    "use a generator instead",
    "explain the second line",
    "now add type hints",
)
Turns = Callable[[Router], None]


def one_round(router: Router, models: Models, *, faults: bool = True) -> None:
    """All conversations at once, then, with *faults*, two that meet some."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(turns, router) for turns in CONVERSATIONS]:
            done.result()
    if faults:
        _meet_faults(router, models)


def swaps(router: Router) -> None:
    """Each has to be woken, and the other put to sleep for it."""
    for model in NAPS:
        router.chatted("hi", model=model, max_tokens=5)


def habit(router: Router) -> None:
    """Sessions go from one model to another, until that is foreseen."""
    for _ in range(LEAST_SEEN + 1):
        session = a_session()
        for model in (AGENT, NAPS[0]):
            router.chatted("hi", model=model, session=session, max_tokens=1)


def early(router: Router) -> None:
    """What is foreseen is woken, and makes room before it is asked; the next time it is asked."""
    for asked in reversed(NAPS):
        session = a_session()
        router.chatted("hi", model=AGENT, session=session, max_tokens=1)
        until(lambda: _is_awake(router, NAPS[0]))
        router.chatted("hi", model=asked, session=session, max_tokens=1)


def _is_awake(router: Router, model: str) -> bool:
    replicas = router.get("/health")["model_endpoints"]["naps"]["replicas"]
    return any(replica["model"] == model and replica["status"] == "healthy" for replica in replicas)


def _code(router: Router) -> None:
    session = a_session()
    router.answer(PYTHON, session_id=session, max_tokens=40)
    router.answer(FOLLOW_UP, session_id=session, max_tokens=40)
    for said in LATER:
        router.route(said, session_id=session, stream=True, max_tokens=20)


def _picture(router: Router) -> None:
    session = a_session()
    router.answer(PICTURE, session_id=session, attachments=[an_image()], max_tokens=40)
    router.answer("And what colour is the frame around it?", session_id=session, max_tokens=40)


def _film(router: Router) -> None:
    film = {"type": "video", "url": "http://example.org/film.mp4"}
    router.route("Summarise what happens in this clip", attachments=[film], session_id=a_session(), max_tokens=20)


def _recording(router: Router) -> None:
    session = a_session()
    sound = {"type": "audio", "data": a_wav(), "media_type": "audio/wav"}
    router.answer("Transcribe this recording", session_id=session, attachments=[sound], max_tokens=20)
    router.answer("and who is speaking?", session_id=session, max_tokens=20)


def _voice(router: Router) -> None:
    """From code to speech: the encoder moves the session."""
    session = a_session()
    router.answer(PYTHON, session_id=session, max_tokens=20)
    router.answer(ALOUD, session_id=session, max_tokens=20)


def _face(router: Router) -> None:
    router.route("hello there", use_case="avatar", session_id=a_session(), max_tokens=20)


def _unclear(router: Router) -> None:
    """Nothing is likely enough."""
    for said in ("blue", "she", "play"):
        router.answer(said, session_id=a_session(), max_tokens=5)


def _chat(router: Router) -> None:
    session = a_session()
    router.chatted(PYTHON, session=session, max_tokens=40)
    later = [user(PYTHON), assistant("def f(): pass"), user(FOLLOW_UP)]
    router.chatted(later, session=session, stream=True, max_tokens=80)
    router.chat([user(PICTURE, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{a_png()}"}})])


def _completion(router: Router) -> None:
    router.post("/v1/completions", {"model": "agent", "prompt": "Once upon a time", "max_tokens": 60})


def _unknown(router: Router) -> None:
    """A client's mistakes."""
    router.route("", session_id=a_session())
    router.chat("hi", model="no-such-model")


CONVERSATIONS: tuple[Turns, ...] = (
    *(_code, _picture, _film, _recording, _voice, _face, _unclear),
    *(_chat, _completion, _completion, _chat, _unknown),
)


def _meet_faults(router: Router, models: Models) -> None:
    """One that another model answers, and one that nobody does."""
    models.agent.fail("error-500", count=1)
    router.route(PYTHON, session_id=a_session(), max_tokens=5)
    models.audio.fail("error-500", count=1)
    router.route(ALOUD, session_id=a_session(), use_case="tts", max_tokens=5)
    for server in (models.agent, models.audio):
        server.reset()
