"""What is to be measured; every number has its bounds."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MOST_RUNS = 100_000
MOST_AT_ONCE = 256
MOST_WARMUP = 1_000
MOST_TOKENS = 8_192
MOST_SAME = 100
MOST_QUERIES = 10_000
MOST_FILE_BYTES = 16 * 1024 * 1024
MOST_TIMEOUT_S = 3_600.0

QUERIES = (
    "Write a Python function to sort a list",
    "Explain in a few sentences why the sky is blue",
    "Draft a short and friendly reminder that the rent is due",
)
FOLLOW_UP = "Please continue."


class BadFile(Exception):
    """A file of queries that cannot be used; the message names the place and says what would be right."""


@dataclass(frozen=True)
class Plan:
    """
    *runs* conversations of a first turn and a follow-up, *concurrency* at once, after *warmup* that do not count;
    queries take turns. *seed*, *same*: then one query so many times, with that seed.
    """

    queries: Sequence[str] = QUERIES
    use_case: str | None = None
    warmup: int = 2
    runs: int = 20
    concurrency: int = 1
    max_tokens: int = 64
    seed: int = 0
    same: int = 10
    timeout_s: float = 120.0  # of one turn

    def query(self, run: int) -> str:
        return self.queries[run % len(self.queries)]


def read_queries(path: Path) -> list[str]:
    """
    One per line, as text or as a JSON object with `query` or `text`; empty lines are left out.

    Raises:
        BadFile
    """
    try:
        with path.open("rb") as file:
            lines = file.read(MOST_FILE_BYTES + 1)
    except OSError as exc:
        raise BadFile(f"{path}: cannot be read: {exc.strerror}") from exc
    if len(lines) > MOST_FILE_BYTES:
        raise BadFile(f"{path}: is larger than {MOST_FILE_BYTES >> 20} MiB; give fewer queries")
    try:
        text = lines.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise BadFile(f"{path}: is not UTF-8 (byte {exc.start}); save it as UTF-8, a query per line") from exc
    queries = [_query(line, f"{path}:{number}") for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not queries:
        raise BadFile(f"{path}: has no queries; write one per line")
    if len(queries) > MOST_QUERIES:
        raise BadFile(f"{path}: has {len(queries)} queries; at most {MOST_QUERIES} are taken")
    return queries


def _query(line: str, place: str) -> str:
    line = line.strip()
    if not line.startswith("{"):
        return line
    try:
        told = json.loads(line)
    except ValueError as exc:
        raise BadFile(f'{place}: is not JSON ({exc}); write an object such as {{"query": "…"}}, or plain text') from exc
    query = told.get("query", told.get("text"))
    if not isinstance(query, str) or not query.strip():
        raise BadFile(f'{place}: has no `query`; write an object such as {{"query": "…"}}, or plain text')
    return query
