"""`smart-router chat` as a program."""

import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest
import typer

from smart_router.cli.chat import _start
from tests.e2e.routers import environment

SOON_S = 40.0
CHAT = [sys.executable, "-m", "smart_router", "chat"]


@dataclass
class Terminal:
    """A pseudo-terminal with a chat in it."""

    program: "subprocess.Popen[bytes]"
    master: int
    seen: bytes = b""
    _text: str = field(default="", repr=False)

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def wait_for(self, words: str) -> None:
        """Until it has written them, spaces aside, as those need not be drawn."""
        deadline = time.monotonic() + SOON_S
        while words.replace(" ", "") not in self.text:
            assert time.monotonic() < deadline, f"no {words!r} in {self.text[-3000:]}"
            self._read()

    def exit_code(self) -> int:
        deadline = time.monotonic() + SOON_S
        while self.program.poll() is None:
            assert time.monotonic() < deadline, "it does not end"
            self._read()
        return self.program.returncode

    @property
    def text(self) -> str:
        """All that was drawn so far, without what steers the terminal."""
        text = re.sub(rb"\x1b(\[[0-9;?<>=$]*[a-zA-Z]|\][^\x07\x1b]*(\x07|\x1b\\)|[()P_].|.)", b"", self.seen)
        return re.sub(r"\s+", "", text.decode(errors="replace"))

    def forget(self) -> None:
        self.seen = b""

    def _read(self) -> None:
        if select.select([self.master], [], [], 0.1)[0]:
            try:
                self.seen += os.read(self.master, 65_536)
            except OSError:  # the other end is closed
                time.sleep(0.05)


@contextmanager
def a_terminal(
    arguments: Sequence[str], home: Path, columns: int = 100, lines: int = 30, **variables: str
) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    given = _environment(home) | {"TERM": "xterm-256color"} | variables
    program = subprocess.Popen(
        [*CHAT, *arguments], stdin=slave, stdout=slave, stderr=slave, env=given, cwd=home, start_new_session=True
    )
    os.close(slave)
    try:
        yield Terminal(program, master)
    finally:
        if program.poll() is None:
            program.kill()
        program.wait()
        os.close(master)


def _environment(home: Path) -> dict[str, str]:
    given = environment(HOME=str(home), XDG_CONFIG_HOME=str(home / "config"), XDG_STATE_HOME=str(home / "state"))
    return {name: value for name, value in given.items() if name not in ("NO_COLOR", "SMART_ROUTER_URL", "API_KEY")}


def test_it_answers_and_quits_in_a_real_terminal(router_url: str, tmp_path: Path) -> None:
    with a_terminal(["--url", router_url, "--theme", "terminal"], tmp_path) as terminal:
        terminal.wait_for("connected")
        terminal.type("Write a Python function to sort a list\r")
        terminal.wait_for("agent · Qwen/Qwen2.5-7B-Instruct · classified")
        terminal.wait_for("total")
        terminal.type("Add error handling to that function\r")
        terminal.wait_for("session · bypass")
        terminal.type("\x11")  # Ctrl+Q
        assert terminal.exit_code() == 0
        assert b"\x1b[?1049l" in terminal.seen  # the screen that was there before is there again


def test_a_small_terminal_without_colours_does(router_url: str, tmp_path: Path) -> None:
    with a_terminal(["--url", router_url], tmp_path, 60, 20, NO_COLOR="1", TERM="vt100") as terminal:
        terminal.wait_for("connected")
        terminal.type("hello\r")
        terminal.wait_for("total")
        terminal.type("\x11")
        assert terminal.exit_code() == 0
        assert coloured(terminal.seen) == []


def coloured(seen: bytes) -> list[bytes]:
    """Orders to the terminal that name a colour other than its own."""
    styles = re.findall(rb"\x1b\[([0-9;]*)m", seen)
    return [style for style in styles if re.search(rb"(?:^|;)(?:[34][0-8]|9[0-7]|10[0-7])(?:;|$)", style)]


def test_without_a_terminal_it_says_what_to_use(tmp_path: Path) -> None:
    given = _environment(tmp_path)
    done = subprocess.run(CHAT, capture_output=True, text=True, env=given, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert "use `smart-router route QUERY`" in done.stderr
    assert done.stdout == ""


NO_TEXTUAL = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "textual":
            raise ModuleNotFoundError("No module named 'textual'", name="textual")
sys.meta_path.insert(0, Missing())
from smart_router.cli import chat
chat._check_terminal = lambda: None
from smart_router.cli import app
app(["chat"])
"""


def test_without_its_extra_it_says_how_to_get_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_TEXTUAL], capture_output=True, text=True, env=_environment(tmp_path)
    )
    assert done.returncode == 2
    assert "pip install 'smart-router[tui]'" in done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"session": "a b"}, "--session: must be 1 to 128 letters"),
        ({"url": "nowhere"}, "url: 'nowhere' is no address of a router"),
        ({"theme": "neon"}, "--theme: there is no theme neon; there are night, ember, paper, mist, terminal, mine"),
        ({"theme_file": Path("wrong.yaml")}, "wrong.yaml: dark: must be true or false"),
    ],
)
def test_what_is_wrong_in_the_command_line_is_told(
    options: dict[str, Any], says: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended:
        _start(**(OPTIONS | options))
    assert ended.value.exit_code == 2
    assert says in capsys.readouterr().err


def test_themes_of_ones_own_are_there_and_a_file_is_used_at_once(home: Path) -> None:
    (home / "config" / "smart-router" / "themes" / "wrong.yaml").write_text("dark: perhaps")
    (home / "given.toml").write_text("dark = true")
    start = _start(**(OPTIONS | {"theme_file": Path("given.toml")}))
    assert [theme.name for theme in start.themes] == ["mine", "given"]
    assert start.theme == "given"
    assert "wrong.yaml: dark: must be true or false" in start.troubles[0]
    assert _start(**(OPTIONS | {"theme": "mine"})).theme == "mine"
    assert _start(**OPTIONS).theme == "night"


OPTIONS: dict[str, Any] = {
    "url": "http://localhost:8001",
    "key": None,
    "session": None,
    "theme": None,
    "theme_file": None,
    "max_tokens": 1024,
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a theme of one's own."""
    (tmp_path / "wrong.yaml").write_text("dark: perhaps")
    themes = tmp_path / "config" / "smart-router" / "themes"
    themes.mkdir(parents=True)
    (themes / "mine.yaml").write_text("dark: false")
    for name, value in _environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path
