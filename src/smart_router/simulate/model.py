"""What a simulated server pretends to serve, and how well."""

from dataclasses import dataclass
from typing import Literal, get_args

from smart_router.simulate.faults import FAULTS, FaultName

Kind = Literal["text", "image", "audio", "any"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Server = Literal["vllm", "ollama"]
SERVERS: tuple[Server, ...] = get_args(Server)


@dataclass(frozen=True, slots=True)
class SimulatedModel:
    """
    The options of a simulated server.

    *kind* decides the routes, as it does for the real server:

    - `text`   chat, completions, responses, messages, tokenize; a picture is refused
    - `image`  the same, and `image_url` and `video_url` parts are taken
    - `audio`  Whisper: transcriptions and translations, no chat
    - `any`    all of these with every kind of part, and embeddings and speech (a tone)

    Raises:
        ValueError: an option is out of range; the message names it and says what would do.
    """

    id: str
    kind: Kind = "text"
    ttft_ms: float = 50.0  # time to first token
    tokens_per_second: float = 100.0  # of each sequence; 0 = as fast as the wire
    max_model_len: int = 4096  # tokens of prompt and answer together
    max_running: int = 256  # requests at once; further ones wait and are counted as waiting
    fault: FaultName | None = None  # what goes wrong from the start; more by POST /simulate/faults
    fault_rate: float = 1.0  # probability that it goes wrong, 0..1
    dev_mode: bool = True  # as with VLLM_SERVER_DEV_MODE=1: without, it cannot be put to sleep
    sleep_seconds: float = 0.0  # that falling asleep takes, and waking
    wake_seconds: float = 0.0
    enable_lora: bool = False
    runtime_lora: bool = True  # as with VLLM_ALLOW_RUNTIME_LORA_UPDATING=1: without, adapters cannot be loaded
    auto_tool_choice: bool = False  # as with --enable-auto-tool-choice: tools are taken, and never called
    seed: int = 0  # of the draws of faults: the same seed, the same requests struck
    server: Server = "vllm"  # whose paths it has; of an Ollama, max_model_len is the context that it cuts prompts to

    def __post_init__(self) -> None:
        _require(bool(self.id), "id must not be empty")
        _require(self.kind in KINDS, f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        _require(self.server in SERVERS, f"server must be one of {', '.join(SERVERS)}, got {self.server!r}")
        _require(self.ttft_ms >= 0, f"ttft_ms must be 0 or more, got {self.ttft_ms}")
        _require(self.tokens_per_second >= 0, f"tokens_per_second must be 0 or more, got {self.tokens_per_second}")
        _require(self.max_model_len >= 1, f"max_model_len must be at least 1, got {self.max_model_len}")
        _require(self.max_running >= 1, f"max_running must be at least 1, got {self.max_running}")
        _require(self.sleep_seconds >= 0, f"sleep_seconds must be 0 or more, got {self.sleep_seconds}")
        _require(self.wake_seconds >= 0, f"wake_seconds must be 0 or more, got {self.wake_seconds}")
        _require(self.fault in (None, *FAULTS), f"fault must be one of {', '.join(FAULTS)}, got {self.fault!r}")
        _require(0 <= self.fault_rate <= 1, f"fault_rate must be in 0..1, got {self.fault_rate}")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
