"""POST /v1/audio/speech: a tone, as long as the text would take to say."""

import io
import math
import struct
import wave
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from smart_router.simulate.errors import refused_value
from smart_router.simulate.exchange import Exchange
from smart_router.simulate.fields import Fields
from smart_router.simulate.jobs import Counted, Job, Said
from smart_router.simulate.sampling import check_prompt
from smart_router.simulate.simulation import read_json, simulation
from smart_router.simulate.tokens import tokenise
from smart_router.simulate.wire import Unstreamed

RATE_HZ = 16_000
TONE_HZ = 440
LOUDNESS = 6_000  # of 32,767
WORD_S = 0.08
LONGEST_S = 3.0


async def speech(request: Request) -> Response:
    here = simulation(request)
    fields = Fields(await read_json(request))
    fault = here.strike()
    text, model, format = fields.text("input", required=True), fields.text("model"), fields.text("response_format")
    fields.check()
    here.model_for(model)
    if format not in (None, "wav"):
        message = f"The simulated voice speaks only response_format wav, got {format!r}."
        raise refused_value(message, "response_format", format)
    words = tokenise(text or "")
    check_prompt(len(words), here.model.max_model_len)
    return Exchange(here.engine, Job(words), SpeechDialect(len(words)), fault=fault)


def tone(duration_s: float) -> bytes:
    """A WAV file, 16 bit mono, with a comment inside that says what it is."""
    samples = (math.sin(2 * math.pi * TONE_HZ * number / RATE_HZ) for number in range(round(duration_s * RATE_HZ)))
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        sound.writeframes(b"".join(struct.pack("<h", round(LOUDNESS * sample)) for sample in samples))
    return _commented(file.getvalue(), b"simulated speech: a tone\0\0")


class SpeechDialect(Unstreamed):
    media_type = "audio/wav"

    def __init__(self, words: int) -> None:
        self._duration_s = min(LONGEST_S, max(1, words) * WORD_S)

    def whole(self, choices: Sequence[Said], counted: Counted) -> bytes:
        return tone(self._duration_s)


def _commented(wav: bytes, comment: bytes) -> bytes:
    """*wav* with an INFO chunk at its end; the comment has an even length."""
    info = b"INFO" + b"ICMT" + struct.pack("<I", len(comment)) + comment
    whole = wav + b"LIST" + struct.pack("<I", len(info)) + info
    return whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:]
