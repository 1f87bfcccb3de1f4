"""`smart-router doctor`, run against an address, and what it said."""

import json
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner

from smart_router.cli import app


@dataclass(frozen=True)
class Examined:
    code: int
    report: dict[str, Any]

    def __getitem__(self, name: str) -> dict[str, Any]:
        """The finding of that name."""
        return next(finding for finding in self.findings if finding["name"] == name)

    @property
    def findings(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.report["checks"]
        return found

    def named(self, *statuses: str) -> set[str]:
        return {finding["name"] for finding in self.findings if finding["status"] in statuses}

    def advice(self, name: str, status: str) -> str:
        """Of that finding, which must be of that *status*; with what was seen in front."""
        finding = self[name]
        assert finding["status"] == status, finding
        return f"{finding['seen']} -> {finding['advice']}"


def examined(url: str, *arguments: str, key: str = "") -> Examined:
    given = ["--key", key] if key else []
    result = CliRunner().invoke(app, ["doctor", "--url", url, "--json", *given, *arguments])
    assert result.stdout, result.output + repr(result.exception)
    document = result.stdout.splitlines()[-1]  # a router in a thread of this process prints its log there, too
    return Examined(result.exit_code, json.loads(document))
