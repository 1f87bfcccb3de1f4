"""What the GPUs of this machine hold, where there are any."""

import subprocess
import threading
from dataclasses import dataclass

PROGRAM = "nvidia-smi"
QUERY = ("--query-gpu=index,name,memory.used,memory.total", "--format=csv,noheader,nounits")
WITHIN_S = 5.0
EVERY_S = 1.0
NOT_HERE = (
    "not visible from here: no nvidia-smi on this machine; a model server tells its share of the cache "
    "(vllm:kv_cache_usage_perc) at its own /metrics"
)


@dataclass(frozen=True)
class Gpu:
    """Mebibytes; *most* is the largest of `memory.used` that was seen."""

    index: int
    name: str
    before: int
    most: int
    total: int


class Watch:
    """Looks now, and every second until it is closed; what it saw is in `gpus`. Nothing where there are none."""

    def __init__(self) -> None:
        self.gpus: dict[int, Gpu] = {gpu.index: gpu for gpu in look()}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._looks, name="gpu", daemon=True)
        if self.gpus:
            self._thread.start()

    def close(self) -> None:
        self._over.set()
        if self.gpus:
            self._thread.join()

    def _looks(self) -> None:
        while not self._over.wait(EVERY_S):
            for now in look():
                seen = self.gpus.get(now.index, now)
                self.gpus[now.index] = Gpu(seen.index, seen.name, seen.before, max(seen.most, now.most), seen.total)


def look() -> list[Gpu]:
    """Now; nothing where that cannot be found out."""
    try:
        told = subprocess.run(  # noqa: S603 - our own words
            [PROGRAM, *QUERY], capture_output=True, text=True, timeout=WITHIN_S, check=True, stdin=subprocess.DEVNULL
        )
        return [_gpu(line) for line in told.stdout.splitlines() if line.strip()]
    except (OSError, subprocess.SubprocessError, ValueError):
        return []


def _gpu(line: str) -> Gpu:
    index, name, used, total = (cell.strip() for cell in line.split(","))
    return Gpu(int(index), name, int(used), int(used), int(total))
