"""How busy a model server says it is, read from its own Prometheus metrics."""

from dataclasses import dataclass

RUNNING = b"\nvllm:num_requests_running"
WAITING = b"\nvllm:num_requests_waiting"
KV_USAGE = (b"\nvllm:kv_cache_usage_perc", b"\nvllm:gpu_cache_usage_perc")  # the second until vLLM 0.9
BELIEVABLE = 1_000_000.0  # requests; more is garbage
WAITING_WEIGHT = 4  # vLLM's own balancer of data-parallel engines: score = waiting * 4 + running


@dataclass(frozen=True, slots=True)
class Load:
    """Requests in the server, whoever sent them, and how full its cache is: 0..1, None where it does not say."""

    running: int = 0
    waiting: int = 0
    kv_usage: float | None = None


def read_load(page: bytes) -> Load:
    """Engines and models of one server are summed, the fullest cache counts; what is missing or garbage is nothing."""
    page = b"\n" + page
    usages = [min(1.0, usage) for name in KV_USAGE for usage in _values(page, name)]
    return Load(int(sum(_values(page, RUNNING))), int(sum(_values(page, WAITING))), max(usages, default=None))


def elsewhere(load: Load, ours: int) -> int:
    """
    By how many requests a replica is busier than the *ours* that this router had there at the time: those of others,
    and the weight of those that wait, whoever sent them.
    """
    others = max(0, load.running + load.waiting - ours)
    return others + (WAITING_WEIGHT - 1) * load.waiting


def _values(page: bytes, name: bytes) -> list[float]:
    """One per label set. Searching for the name is 20 times quicker than splitting a page of 100 kB into its lines."""
    found = []
    at = page.find(name)
    while at >= 0:
        start, end = at + len(name), page.find(b"\n", at + 1)
        line = page[start : end if end >= 0 else len(page)]
        if line[:1] in (b"{", b" ", b"\t") and (value := _value(line)) is not None:
            found.append(value)
        at = page.find(name, start)
    return found


def _value(line: bytes) -> float | None:
    """Of `{labels} value timestamp`; a label may hold spaces and braces, what follows them does not."""
    words = line.rpartition(b"}")[2].split()
    try:
        value = float(words[0]) if words else -1.0
    except ValueError:
        return None
    return value if 0 <= value <= BELIEVABLE else None
