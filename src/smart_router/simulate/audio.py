"""POST /v1/audio/transcriptions and /v1/audio/translations: Whisper's paths."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response

from smart_router.simulate import answers, media
from smart_router.simulate.errors import Refused
from smart_router.simulate.exchange import Exchange
from smart_router.simulate.fields import Fields
from smart_router.simulate.jobs import Counted, Job, Said, Step
from smart_router.simulate.media import Sound
from smart_router.simulate.multipart import Form, read_form
from smart_router.simulate.sampling import Sampling, StreamOptions
from smart_router.simulate.simulation import Simulation, simulation
from smart_router.simulate.tokens import Vocabulary
from smart_router.simulate.wire import DONE, Reply, data_event, encode, usage

Task = Literal["transcription", "translation"]

SOUND_TOKENS = 150  # the encoder's prompt, whatever the length of the sound
SPOKEN = "en"  # the language that is found when none is named
_NAMED = (
    "af ar hy az be bs bg ca zh hr cs da nl en et fi fr gl de el he hi hu is id it ja kn kk ko lv lt mk ms mr mi ne "
    "no fa pl pt ro ru sr sk sl es sw sv tl ta th tr uk ur vi cy"
)
LANGUAGES = _NAMED.split()
_FORMATS = ("json", "text", "srt", "verbose_json", "vtt", "diarized_json")
_ID_PREFIX = {"transcription": "transcribe", "translation": "translate"}


async def transcriptions(request: Request) -> Response:
    return await _exchange(request, "transcription")


async def translations(request: Request) -> Response:
    return await _exchange(request, "translation")


async def _exchange(request: Request, task: Task) -> Response:
    here = simulation(request)
    form = await read_form(request)
    here.note(request, form.as_noted())
    fault = here.strike()
    ask = SoundAsk.read(form, task)
    here.model_for(ask.model)
    _check(ask)
    sound = media.listen(form.files["file"].data)
    dialect = SoundDialect(Reply.to(request, here.model, _ID_PREFIX[task]), ask, sound, here.vocabulary)
    return Exchange(here.engine, _job(here, ask, sound), dialect, stream=ask.options.stream, fault=fault)


@dataclass(frozen=True, slots=True)
class SoundAsk:
    task: Task
    model: str | None
    format: str
    language: str | None
    temperature: float
    max_tokens: int | None
    options: StreamOptions

    @classmethod
    def read(cls, form: Form, task: Task) -> "SoundAsk":
        """
        Raises:
            Invalid: no file, or a field has the wrong form.
        """
        fields = Fields({**form.fields, **form.files})
        if "file" not in form.files:
            fields.missing("file")
        model, language = fields.text("model"), fields.text("language")
        format = fields.choice("response_format", _FORMATS) or "json"
        temperature, max_tokens = fields.number("temperature"), fields.integer("max_completion_tokens")
        usage, continuous = fields.flag("stream_include_usage"), fields.flag("stream_continuous_usage_stats")
        options = StreamOptions(fields.flag("stream"), usage, usage and continuous)
        fields.check()
        return cls(task, model, format, language, temperature or 0.0, max_tokens, options)


class SoundDialect:
    media_type = "application/json"

    def __init__(self, reply: Reply, ask: SoundAsk, sound: Sound, vocabulary: Vocabulary) -> None:
        self._reply, self._ask, self._sound, self._vocabulary = reply, ask, sound, vocabulary

    def whole(self, choices: Sequence[Said], counted: Counted) -> bytes:
        said = choices[0]
        if self._ask.format == "verbose_json":
            return encode(self._verbose(said))
        if self._ask.task == "translation":
            return encode({"text": said.text})
        return encode({"text": said.text, "usage": {"type": "duration", "seconds": self._sound.seconds}})

    def opening(self, counted: Counted) -> Iterator[bytes]:
        return iter(())

    def delta(self, step: Step, counted: Counted) -> Iterator[bytes]:
        choice: dict[str, Any] = {"delta": {"content": step.text}}
        if step.finish:
            choice |= {"finish_reason": step.finish, "stop_reason": step.stop_reason}
        told = {"usage": usage(counted)} if self._ask.options.continuous else {}
        yield data_event(self._headed() | {"choices": [choice]} | told)

    def closing(self, counted: Counted) -> Iterator[bytes]:
        if self._ask.options.usage:
            yield data_event(self._headed() | {"choices": [], "usage": usage(counted)})
        yield DONE

    def broken(self, error: dict[str, Any]) -> Iterator[bytes]:
        yield data_event(error)
        yield DONE

    def _headed(self) -> dict[str, Any]:
        return self._reply.headed(f"{self._ask.task}.chunk")

    def _verbose(self, said: Said) -> dict[str, Any]:
        return {
            "duration": self._sound.duration_s,
            "language": self._ask.language or SPOKEN,
            "text": said.text,
            "segments": [self._segment(said)],
            "words": None,
        }

    def _segment(self, said: Said) -> dict[str, Any]:
        return {
            "id": 0,
            "avg_logprob": -0.5,
            "compression_ratio": 1.0,
            "end": self._sound.duration_s,
            "no_speech_prob": None,
            "seek": 0,
            "start": 0.0,
            "temperature": self._ask.temperature,
            "text": said.text,
            "tokens": self._vocabulary.ids(said.tokens),
        }


def _check(ask: SoundAsk) -> None:
    if ask.format in ("srt", "vtt"):
        raise Refused("Currently only support response_format: `text`, `json`, `verbose_json` or `diarized_json`")
    if ask.language and ask.language not in LANGUAGES:
        raise Refused(f"Unsupported language: {ask.language!r}.  Must be one of {LANGUAGES}.")


def _job(here: Simulation, ask: SoundAsk, sound: Sound) -> Job:
    prompt = tuple(f"<|{ask.task} {sound} {number}|>" for number in range(SOUND_TOKENS))
    room = max(1, here.model.max_model_len - SOUND_TOKENS)
    answer = Sampling(max_tokens=ask.max_tokens).answer(answers.to_sound(here.model.id, sound, ask.task), room)
    return Job(prompt, (answer,), ask.max_tokens)
