"""results.md and results.json."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.machine import BUSY_LOAD, Machine
from benchmarks.rounds import Effort, Row, throughput_ratio
from benchmarks.routers import KINDS, OURS, UPSTREAM
from benchmarks.scenarios import PEER, SCENARIOS, Scenario
from benchmarks.streams import CHUNKS, PER_SECOND, RAMP_S
from benchmarks.streams import Row as StreamRow

MIB = 2**20
CPU_AT = 32  # connections


@dataclass
class Results:
    """Everything that was found."""

    machine: Machine
    command: str
    effort: Effort
    streams_at_once: int
    absent: dict[str, str] = field(default_factory=dict)
    loads: dict[str, list[Row]] = field(default_factory=dict)  # by scenario
    streams: list[StreamRow] = field(default_factory=list)
    idle_rss: dict[str, int] = field(default_factory=dict)
    steal_percent: float = 0.0


def write(results: Results, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.md").write_text("\n".join(_document(results)) + "\n")
    (folder / "results.json").write_text(json.dumps(asdict(results), indent=1) + "\n")


def _document(results: Results) -> Iterator[str]:
    yield "# Benchmark results"
    yield ""
    yield "Made by `benchmarks/run.py`; what is measured and how to read it: [README.md](README.md)."
    yield ""
    yield from _machine(results)
    yield from _absent(results)
    for scenario in SCENARIOS:
        if rows := results.loads.get(scenario.letter):
            yield from _load(scenario, rows)
    if results.streams:
        yield from _streams(results)
    if results.loads:
        yield from _costs(results)


def _machine(results: Results) -> Iterator[str]:
    machine = results.machine
    yield from _table(" | ", "--- | ---")
    yield _line("processor", f"{machine.cpu}, {machine.cores} cores, {machine.memory_gib} GiB")
    yield _line("system", f"{machine.system}, Linux {machine.kernel}")
    yield _line("measured", f"{machine.date}, commit {machine.commit}")
    busy = " (**busy: something else was running**)" if machine.load_before > BUSY_LOAD * machine.cores else ""
    yield _line("disturbed", f"load average before: {machine.load_before:.2f}{busy}; stolen by the host: "
                f"{results.steal_percent:.1f} % of CPU time")  # fmt: skip
    yield _line("effort", f"{results.effort.rounds} alternating rounds of {results.effort.seconds:g} s after a warm-up "
                f"of {results.effort.warm_up_s:g} s; medians")  # fmt: skip
    yield _line("versions", ", ".join(f"{name} {found}" for name, found in machine.versions.items()))
    yield _line("again", f"`{results.command}`")
    yield ""


def _absent(results: Results) -> Iterator[str]:
    if not results.absent:
        return
    yield "Absent:"
    yield ""
    yield from (f"- {name}: {reason}" for name, reason in results.absent.items())
    yield ""


def _load(scenario: Scenario, rows: Sequence[Row]) -> Iterator[str]:
    yield f"## {scenario.letter}. {scenario.title}"
    yield ""
    yield scenario.shows
    yield ""
    yield from _table(
        f"connections | who | requests/s | of {PEER}'s | smart-router's is | p50 ms | p90 ms | p99 ms | CPU µs/request "
        "| errors",
        "--: | --- | --: | --: | --: | --: | --: | --: | --: | --:",
    )
    for connections in scenario.connections:
        at_once = [row for row in rows if row.connections == connections]
        yield from (_load_line(row, at_once) for row in at_once)
    yield ""
    yield from _added(rows)
    yield from _failures(rows)


def _load_line(row: Row, at_once: Sequence[Row]) -> str:
    if row.failed or not row.rounds:
        return _line(row.connections, row.name, "failed", *[""] * 7)
    return _line(
        row.connections,
        row.name,
        f"{row.per_second:,.0f}" + (" (**invalid**)" if row.errors else ""),
        _ratio(row, _first(at_once, PEER)),
        "" if row.router == OURS else _ratio(_first(at_once, OURS), row),
        *(f"{row.latency_us(which) / 1e3:.3f}" for which in ("p50", "p90", "p99")),
        f"{row.cpu_us:.0f}" + (f" + {row.store_cpu_us:.0f} Redis" if row.store_cpu_us is not None else ""),
        row.errors,
    )


def _first(rows: Sequence[Row], router: str) -> Row | None:
    return next((row for row in rows if row.router == router and row.rounds), None)


def _ratio(one: Row | None, other: Row | None) -> str:
    if one is None or other is None or one is other:
        return ""
    ratio = throughput_ratio(one, other)
    return f"{ratio:.0f} ×" if ratio >= 10 else f"{ratio:.2f} ×" if ratio >= 0.1 else f"{ratio:.4f} ×"


def _added(rows: Sequence[Row]) -> Iterator[str]:
    """What routers add at one connection, where the upstream itself was measured too."""
    alone = {row.name: row for row in rows if row.connections == 1 and row.rounds}
    if (direct := alone.pop(UPSTREAM, None)) is None:
        return
    yield "Added to the upstream's own latency, one connection, µs:"
    yield ""
    yield from _table("who | p50 | p99", "--- | --: | --:")
    for row in alone.values():
        yield _line(row.name, *(f"{row.latency_us(which) - direct.latency_us(which):.0f}" for which in ("p50", "p99")))
    yield ""


def _failures(rows: Sequence[Row] | Sequence[StreamRow]) -> Iterator[str]:
    reasons = {f"- {row.name}: {row.failed}": None for row in rows if row.failed}
    if reasons:
        yield from ("Failed:", "", *reasons, "")


def _streams(results: Results) -> Iterator[str]:
    yield f"## d. {results.streams_at_once:,} streams at once"
    yield ""
    yield (
        f"Each of {CHUNKS} chunks at {PER_SECOND:g} a second, opened over {RAMP_S:g} s. Late: "
        "from the upstream's sending a chunk to the client's having it. Memory: before the first round, at most, and "
        "half a second after the last."
    )
    yield ""
    yield from _table(
        "through | first token p50 / p99 ms | late p50 / p99 / max ms | added p50 / p99 ms | lost | doubled | broken "
        "| CPU µs/chunk | MiB before / peak / after",
        "--- | --: | --: | --: | --: | --: | --: | --: | --:",
    )
    direct = next((row for row in results.streams if row.router == UPSTREAM and row.rounds), None)
    yield from (_stream_line(row, direct) for row in results.streams)
    yield ""
    yield from (f"- {row.name}: first trouble {row.trouble}" for row in results.streams if row.trouble)
    yield from _failures(results.streams)
    yield ""


def _stream_line(row: StreamRow, direct: StreamRow | None) -> str:
    if row.failed or not row.rounds:
        return _line(row.name, "failed", *[""] * 7)
    bad = sum(row.total(name) for name in ("lost", "duplicated", "broken"))
    late = ("late_p50_ms", "late_p99_ms")
    added = "" if direct in (None, row) else " / ".join(f"{row.median(n) - direct.median(n):.2f}" for n in late)
    memory = (row.rounds[0].rss_before, max(one.rss_peak for one in row.rounds), row.rounds[-1].rss_after)
    return _line(
        row.name + (" (**invalid**)" if bad else ""),
        f"{row.median('ttft_p50_ms'):.2f} / {row.median('ttft_p99_ms'):.2f}",
        " / ".join(f"{row.median(name):.2f}" for name in (*late, "late_max_ms")),
        added,
        *(row.total(name) for name in ("lost", "duplicated", "broken")),
        f"{row.cpu_us_per_chunk:.0f}",
        " / ".join(f"{size / MIB:.0f}" for size in memory),
    )


def _costs(results: Results) -> Iterator[str]:
    yield "## e. CPU and memory"
    yield ""
    yield (
        f"CPU in user and kernel mode, of the router with its children, per request of scenario a at {CPU_AT} "
        "connections; resident memory: idle, and the most after any round of any scenario but d."
    )
    yield ""
    yield from _table("router | what | CPU µs/request | MiB idle | MiB after", "--- | --- | --: | --: | --:")
    for name, idle in results.idle_rss.items():
        rows = [row for found in results.loads.values() for row in found if row.router == name and row.rounds]
        if rows:
            after = max(one.rss_bytes for row in rows for one in row.rounds)
            yield _line(name, _what(name), _cpu(results, name), f"{idle / MIB:.0f}", f"{after / MIB:.0f}")
    yield ""


def _what(name: str) -> str:
    return KINDS[name].what if name in KINDS else "C, nginx, one worker, a fixed answer"


def _cpu(results: Results, name: str) -> str:
    rows = [
        row for row in results.loads.get("a", []) if row.router == name and row.rounds and row.connections == CPU_AT
    ]
    return f"{rows[-1].cpu_us:.0f}" if rows else ""


def _table(heads: str, rules: str) -> Iterator[str]:
    yield f"| {heads} |"
    yield f"| {rules} |"


def _line(*cells: object) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
