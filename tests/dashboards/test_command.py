"""`smart-router dashboards`, against a server that behaves as Grafana's API does for the calls in question."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from smart_router.cli.dashboards import app
from smart_router.cli.processes import free_port

from .grafana_server import TOKEN, VIEWER, FakeGrafana, a_grafana, a_stranger

BOARD = {"title": "Board", "uid": "board", "panels": [{"id": 1, "title": "first"}], "tags": ["smart-router"]}
OTHER = {"title": "Other", "uid": "other", "panels": []}


@pytest.fixture
def grafana() -> Iterator[FakeGrafana]:
    with a_grafana() as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "boards"
    found.mkdir()
    for board in (BOARD, OTHER):
        (found / f"{board['uid']}.json").write_text(json.dumps(board, indent=2) + "\n")
    return found


def run(command: str, url: str, folder: Path, *more: str, token: str = TOKEN) -> Result:
    return CliRunner().invoke(app, [command, "--grafana", url, "--token", token, "--folder", str(folder), *more])


def well(command: str, grafana: FakeGrafana, folder: Path, *more: str) -> str:
    done = run(command, grafana.url, folder, *more)
    assert done.exit_code == 0, done.output
    return done.output


def refused(command: str, url: str, folder: Path, *more: str, token: str = TOKEN) -> str:
    """One line on stderr that says what to do."""
    done = run(command, url, folder, *more, token=token)
    assert done.exit_code == 2, done.output
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.stderr


def rename(folder: Path, title: str) -> None:
    (folder / "board.json").write_text(json.dumps({**BOARD, "title": title}))


# push


def test_a_push_stores_every_dashboard_in_our_folder(grafana: FakeGrafana, folder: Path) -> None:
    well("push", grafana, folder)
    assert set(grafana.boards) == {"board", "other"}
    assert [found["title"] for found in grafana.folders] == ["smart-router"]
    assert set(grafana.folder_of.values()) == {grafana.folders[0]["uid"]}


def test_a_folder_that_is_there_is_used(grafana: FakeGrafana, folder: Path) -> None:
    grafana.folders = [{"uid": "mine", "title": "smart-router"}]
    well("push", grafana, folder)
    assert grafana.folder_of["board"] == "mine"
    assert len(grafana.folders) == 1


@pytest.mark.parametrize("plain_lists", [True, False])
def test_a_push_replaces_what_an_earlier_push_stored(grafana: FakeGrafana, folder: Path, plain_lists: bool) -> None:
    grafana.plain_lists = plain_lists
    well("push", grafana, folder)
    rename(folder, "Better")
    assert "pushed     Better" in well("push", grafana, folder)
    assert grafana.boards["board"]["title"] == "Better"


def test_a_push_of_the_same_makes_no_version(grafana: FakeGrafana, folder: Path) -> None:
    well("push", grafana, folder)
    assert "unchanged  Board" in well("push", grafana, folder)
    assert len(grafana.versions["board"]) == 1


def test_what_grafana_makes_of_a_pushed_dashboard_is_not_a_change_by_hand(grafana: FakeGrafana, folder: Path) -> None:
    well("push", grafana, folder)
    grafana.boards["board"]["schemaVersion"] = 99  # newer ones migrate what they store
    assert well("diff", grafana, folder) == ""
    rename(folder, "Better")
    well("push", grafana, folder)


def test_a_change_by_hand_is_not_overwritten_and_nothing_else_is_pushed(grafana: FakeGrafana, folder: Path) -> None:
    well("push", grafana, folder)
    grafana.change_by_hand("other")
    rename(folder, "Better")
    said = refused("push", grafana.url, folder)
    assert "Other" in said
    assert "--force" in said
    assert (grafana.boards["board"]["title"], grafana.boards["other"]["title"]) == ("Board", "mine")


def test_a_dashboard_that_was_never_pushed_is_not_overwritten(grafana: FakeGrafana, folder: Path) -> None:
    grafana.save({**BOARD, "title": "somebody's"}, message="imported")
    refused("push", grafana.url, folder)
    assert grafana.boards["board"]["title"] == "somebody's"


def test_force_overwrites_a_change_by_hand(grafana: FakeGrafana, folder: Path) -> None:
    well("push", grafana, folder)
    grafana.change_by_hand("board")
    well("push", grafana, folder, "--force")
    assert grafana.boards["board"]["title"] == "Board"


def test_a_save_between_our_look_and_our_push_is_not_overwritten(grafana: FakeGrafana, folder: Path) -> None:
    well("push", grafana, folder)
    rename(folder, "Better")
    grafana.overtaken = True
    assert "Somebody was faster" in refused("push", grafana.url, folder)
    assert grafana.boards["board"]["title"] == "mine"


def test_a_provisioned_dashboard_says_where_it_comes_from(grafana: FakeGrafana, folder: Path) -> None:
    grafana.provisioned = True
    assert "files of its own" in refused("push", grafana.url, folder)


# diff


def test_no_difference_prints_nothing(grafana: FakeGrafana, folder: Path) -> None:
    well("push", grafana, folder)
    assert well("diff", grafana, folder) == ""


def test_a_difference_is_printed_and_is_exit_code_1(grafana: FakeGrafana, folder: Path) -> None:
    well("push", grafana, folder)
    grafana.change_by_hand("board")
    done = run("diff", grafana.url, folder)
    assert done.exit_code == 1
    assert {'-  "title": "mine",', '+  "title": "Board",'} <= set(done.output.splitlines())
    assert "Other" not in done.output


def test_what_is_only_on_disk_differs(grafana: FakeGrafana, folder: Path) -> None:
    done = run("diff", grafana.url, folder)
    assert done.exit_code == 1
    assert "only on disk" in done.output


# pull


def test_a_pull_of_the_same_changes_no_byte(grafana: FakeGrafana, folder: Path) -> None:
    well("push", grafana, folder)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    well("pull", grafana, folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_pull_writes_what_changed_and_no_more(grafana: FakeGrafana, folder: Path) -> None:
    """Keys keep their order; the numbers that Grafana gives stay there."""
    well("push", grafana, folder)
    grafana.change_by_hand("board")
    before = (folder / "board.json").read_text()
    well("pull", grafana, folder)
    assert (folder / "board.json").read_text() == before.replace('"Board"', '"mine"')
    assert well("diff", grafana, folder) == ""


def test_a_pull_of_what_grafana_lacks_writes_nothing(grafana: FakeGrafana, folder: Path) -> None:
    grafana.save({**OTHER, "title": "mine"})
    assert "Board" in refused("pull", grafana.url, folder)
    assert json.loads((folder / "other.json").read_text()) == OTHER


def test_a_pull_does_not_write_into_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["pull"])
    assert done.exit_code == 2
    assert "--folder" in done.stderr


# what is wrong is said in one line

COMMANDS = ("push", "diff", "pull")


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unreachable_grafana(command: str, folder: Path) -> None:
    assert "no Grafana answers" in refused(command, f"http://127.0.0.1:{free_port()}", folder)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_token(command: str, grafana: FakeGrafana, folder: Path) -> None:
    assert "GRAFANA_TOKEN" in refused(command, grafana.url, folder, token="glsa_wrong")


def test_a_token_that_may_only_look(grafana: FakeGrafana, folder: Path) -> None:
    assert "Editor" in refused("push", grafana.url, folder, token=VIEWER)
    assert grafana.boards == {}


@pytest.mark.parametrize(
    ("content_type", "page"),
    [("text/html", "<html>welcome</html>"), ("application/json", '{"status": "ok"}'), ("application/json", "{")],
)
@pytest.mark.parametrize("command", COMMANDS)
def test_something_else_than_a_grafana(command: str, content_type: str, page: str, folder: Path) -> None:
    with a_stranger(content_type, page) as url:
        assert "not as a Grafana" in refused(command, url, folder)


@pytest.mark.parametrize("address", ["localhost:3000", "ftp://localhost:3000", "http://"])
@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_no_address(command: str, address: str, folder: Path) -> None:
    assert "http://localhost:3000" in refused(command, address, folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"title": "no uid"}'])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_is_no_dashboard(command: str, text: str, grafana: FakeGrafana, folder: Path) -> None:
    (folder / "other.json").write_text(text)
    assert "other.json" in refused(command, grafana.url, folder)
    assert grafana.boards == {}
    assert (folder / "other.json").read_text() == text


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_without_dashboards(command: str, grafana: FakeGrafana, tmp_path: Path) -> None:
    assert "--folder" in refused(command, grafana.url, tmp_path)


def test_without_grafana_client(grafana: FakeGrafana, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grafana_client.api", None)
    assert "smart-router[dashboards]" in refused("push", grafana.url, folder)


@pytest.mark.parametrize("end", ["", "/"])
def test_a_grafana_may_live_below_a_path(end: str, grafana: FakeGrafana, folder: Path) -> None:
    grafana.below = "/grafana"
    done = run("push", f"{grafana.url}/grafana{end}", folder)
    assert done.exit_code == 0, done.output
    assert set(grafana.boards) == {"board", "other"}
