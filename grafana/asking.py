"""A dashboard's queries, put to a Prometheus as Grafana would put them."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2

Json = dict[str, Any]
# What Grafana escapes in each value of a variable that stands in a regular expression inside a string.
_SPECIAL = re.compile(r"[$^*{}\[\]'+?.()|]")
_LABEL_VALUES = re.compile(r"label_values\((?P<selector>.+), *(?P<label>\w+)\)")
TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Window:
    """What is looked at, in seconds since the epoch; *rate_s* is what `$__rate_interval` stands for."""

    start: float
    end: float
    step: float
    rate_s: int


@dataclass(frozen=True)
class Series:
    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]  # time, value

    def named(self, legend: str) -> str:
        return re.sub(r"\{\{ *(\w+) *\}\}", lambda found: self.labels.get(found[1], ""), legend).strip()


class Prometheus:
    def __init__(self, url: str) -> None:
        self._http = httpx2.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def ready(self) -> bool:
        try:
            return self._http.get("/-/ready").status_code == 200
        except httpx2.HTTPError:
            return False

    def series(self, expr: str, window: Window) -> list[Series]:
        """
        What *expr*, in which no variable is left, gives over the *window*.

        Raises:
            ValueError: Prometheus refuses it; the message says why.
        """
        asked = {"query": expr, "start": window.start, "end": window.end, "step": window.step}
        told = self._told(self._http.post("/api/v1/query_range", data=asked), expr)
        return [Series(found["metric"], [(t, float(v)) for t, v in found["values"]]) for found in told["result"]]

    def values(self, query: str) -> list[str]:
        """The values of a variable whose *query* is `label_values(…, …)`."""
        found = _LABEL_VALUES.fullmatch(query)
        if not found:
            raise ValueError(f"{query!r} is not of the form label_values(…, …)")
        asked = {"match[]": found["selector"]}
        told: list[str] = self._told(self._http.get(f"/api/v1/label/{found['label']}/values", params=asked), query)
        return told

    @staticmethod
    def _told(response: httpx2.Response, asked: str) -> Any:
        told = response.json()
        if told["status"] != "success":
            raise ValueError(f"{told['error']} in: {asked}")
        return told["data"]


def panels(board: Json) -> Iterator[Json]:
    """Those that show something, in the order in which they are read."""
    return (panel for panel in board["panels"] if panel["type"] != "row")


def variables(board: Json) -> dict[str, Json]:
    """Those with values from Prometheus, by name."""
    return {found["name"]: found for found in board["templating"]["list"] if found["type"] == "query"}


def all_chosen(board: Json) -> dict[str, str]:
    """What each variable stands for while All is chosen."""
    return {name: variable["allValue"] for name, variable in variables(board).items()}


def each_chosen(board: Json, prometheus: Prometheus, window: Window) -> dict[str, str]:
    """What each variable stands for when every single value of it is ticked."""
    chosen: dict[str, str] = {}
    for name, variable in variables(board).items():
        values = prometheus.values(filled(variable["query"], chosen, window))
        chosen[name] = f"({'|'.join(map(_escaped, values))})" if values else ""
    return chosen


def filled(text: str, chosen: Mapping[str, str], window: Window) -> str:
    """
    *text* without variables.

    Raises:
        KeyError: it has one that is not *chosen*.
    """
    built_in = {"__rate_interval": f"{window.rate_s}s", "__range": f"{round(window.end - window.start)}s"}
    return re.sub(r"\$(\w+)", lambda found: {**built_in, **chosen}[found[1]], text)


def _escaped(value: str) -> str:
    # The string's quotes take one backslash, the regular expression the other.
    return _SPECIAL.sub(r"\\\\\g<0>", value.replace("\\", "\\\\\\\\"))


def load(text: str) -> Json:
    board: Json = json.loads(text)
    return board
