"""Documents for scripts, of commands that have no tests of their own here."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from smart_router.cli import app
from tests.dashboards.grafana_server import TOKEN, a_grafana

pytestmark = pytest.mark.usefixtures("bare_environment")


def test_what_a_push_of_dashboards_would_change(tmp_path: Path) -> None:
    folder = tmp_path / "boards"
    folder.mkdir()
    (folder / "board.json").write_text('{"title": "Board", "uid": "board"}')
    with a_grafana() as grafana:
        options = ["--grafana", grafana.url, "--token", TOKEN, "--folder", str(folder)]
        found = CliRunner().invoke(app, ["dashboards", "diff", "--json", *options])
        assert (found.exit_code, list(json.loads(found.stdout))) == (1, [str(folder / "board.json")])
        assert CliRunner().invoke(app, ["dashboards", "push", *options]).exit_code == 0
        found = CliRunner().invoke(app, ["dashboards", "diff", "--json", *options])
        assert (found.exit_code, json.loads(found.stdout)) == (0, {})


def test_what_is_known_of_the_classifier() -> None:
    found = json.loads(CliRunner().invoke(app, ["classifier", "info", "--json"]).stdout)
    assert found["encoder"] == "sentence-transformers/all-MiniLM-L6-v2"
    plain = CliRunner().invoke(app, ["classifier", "info"]).stdout
    assert found["onnx_sha256"] in plain
