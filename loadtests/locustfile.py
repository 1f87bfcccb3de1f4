"""What locust runs: `python -m locust -f loadtests/locustfile.py`, best by way of `python -m loadtests`."""

import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from locust import LoadTestShape, events
from locust.env import Environment
from locust.runners import LocalRunner

from loadtests.gates import Verdict, all_passed, limits_from, verdicts
from loadtests.options import add_run_options
from loadtests.results import figures
from loadtests.shapes import SHAPES, Plan, users_at
from loadtests.tables import summary
from loadtests.tally import Tally
from loadtests.users import Batch, Hostile, Idle, RealTime, Streaming, Switching

__all__ = ["Batch", "Hostile", "Idle", "RealTime", "Streaming", "Switching"]

SLICES = 60  # of a run, for plots
OPEN_END_SLICE_S = 5.0  # where nobody knows how long the run will be


class Shaped(LoadTestShape):
    """Asks shapes.py each second."""

    abstract = True
    plan: Plan

    def tick(self) -> tuple[int, float] | None:
        users = users_at(self.plan, self.get_run_time())  # type: ignore[no-untyped-call]
        return None if users is None else (users, float(users))  # all changes within a second


class Watch:
    """Hears of every request, and has the last word: the tables, the gates and the exit code."""

    def __init__(self, environment: Environment, seconds: float | None) -> None:
        self.environment = environment
        self.seconds = seconds
        self.began: float | None = None
        self.tally = Tally(max(1.0, seconds / SLICES) if seconds else OPEN_END_SLICE_S)

    def start(self, **_: Any) -> None:
        """Also of a further run in the web interface, which adds to the figures."""
        self.began = self.began or time.monotonic()

    def heard(self, response_time: float, exception: BaseException | None, context: dict[str, Any], **_: Any) -> None:
        at_s = time.monotonic() - (self.began or time.monotonic())
        if kind := context.get("first_token_of"):
            self.tally.first_token(kind, response_time, at_s)
        elif sample := context.get("sample"):
            error = str(exception) if exception else None
            users = self.environment.runner.user_count if self.environment.runner else 0
            self.tally.add(replace(sample, latency_ms=response_time, error=error), at_s, users)

    def conclude(self, **_: Any) -> None:
        found = self._verdicts()
        sys.stdout.write(f"\n{summary(self.tally, found)}\n")
        if path := self._options.results:
            Path(path).write_text(json.dumps(figures(self.tally) | {"gates": [asdict(each) for each in found]}))
        self.environment.process_exit_code = 0 if all_passed(found) else 1

    def _verdicts(self) -> list[Verdict]:
        runner = self.environment.runner
        broken = sum(each["count"] for each in runner.exceptions.values()) if runner else 0
        lasted = self.seconds or time.monotonic() - (self.began or time.monotonic())
        return verdicts(self.tally, limits_from(self._options), lasted, broken)

    @property
    def _options(self) -> Any:
        return self.environment.parsed_options


def prepare(environment: Any, runner: Any, **_: Any) -> None:
    if not isinstance(runner, LocalRunner):
        sys.exit("loadtests: the gates see one process only; leave out --master, --worker and --processes")
    options = environment.parsed_options
    shape = SHAPES.get(options.shape)
    seconds = (options.seconds or shape.usual_s) if shape else None
    if seconds:
        environment.shape_class = _shaped(Plan(options.shape, options.num_users or 1, seconds), runner)
    watch = Watch(environment, seconds)
    environment.events.test_start.add_listener(watch.start)
    environment.events.request.add_listener(watch.heard)
    environment.events.quitting.add_listener(watch.conclude)


def _shaped(plan: Plan, runner: LocalRunner) -> Shaped:
    shaped: Shaped = Shaped()  # type: ignore[no-untyped-call]
    shaped.plan, shaped.runner = plan, runner
    return shaped


hear: Any = events  # locust's own have no types
hear.init_command_line_parser.add_listener(add_run_options)
hear.init.add_listener(prepare)
