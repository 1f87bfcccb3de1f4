"""What the documents' examples talk to: routers and simulated model servers, at other addresses than in the text."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.docs.blocks import ROOT
from tests.e2e.models import Models
from tests.e2e.routers import environment

KEY = "sk-of-the-documents"
WITHIN_S = 500.0  # all commands of a page; the machine may be busy
_HOST = r"(?:localhost|127\.0\.0\.1)"


@dataclass(frozen=True)
class World:
    """A router that asks for no key, one that asks for `KEY`, and the model servers behind both."""

    open_url: str
    keyed_url: Callable[[], str]
    models: Models
    folder: Path

    def router_for(self, text: str) -> str:
        """Who shows a key without saying which has it from the environment, as it fits the router."""
        return self.keyed_url() if _wants_key(text) else self.open_url

    def rewritten(self, text: str) -> str:
        ports = {
            8001: self.router_for(text),
            8000: self.models.agent.url,
            8002: self.models.multimodal.url,
            8003: self.models.audio.url,
        }
        for port, url in ports.items():
            text = re.sub(rf"\b{_HOST}:{port}\b", url.removeprefix("http://"), text)
        return text

    def environment(self, text: str) -> Mapping[str, str]:
        """Of the example: its commands are those of this installation."""
        with_key = {"API_KEY": KEY} if _wants_key(text) else {}
        here = Path(sys.executable).parent
        return environment(
            PATH=f"{here}{os.pathsep}{os.environ['PATH']}",
            HOME=str(self.folder),
            SMART_ROUTER_URL=self.router_for(text),
            NO_COLOR="1",
            **with_key,
        )

    def run(self, program: str, text: str, name: str = "example") -> "Ended":
        """*text* by *program*, from a file in the folder; whatever it starts is ended with it."""
        (self.folder / name).write_text(self.rewritten(text), encoding="utf-8")
        with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
            process = subprocess.Popen(
                [program, name],
                cwd=self.folder,
                env=self.environment(text),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                process.wait(WITHIN_S)
            except subprocess.TimeoutExpired:
                output.write(f"\nstill running after {WITHIN_S:g} s; mark it as not run, if it is to stay")
            finally:
                _end_all_of(process)
            output.seek(0)
            return Ended(process.returncode, output.read())


@dataclass(frozen=True)
class Ended:
    code: int
    told: str


def _wants_key(text: str) -> bool:
    return bool(re.search(r"\bAPI_KEY\b", text)) and not re.search(r"\bAPI_KEY=", text)


def _end_all_of(process: subprocess.Popen[bytes]) -> None:
    """The process and what it left in the background: they are a session of their own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def fill(folder: Path) -> None:
    """As somebody has it who has fetched the project; what examples may change is a copy."""
    shutil.copytree(ROOT / "config", folder / "config")
    shutil.copy(ROOT / ".env.example", folder)
    for name in ("clients", "examples", "src"):
        if (ROOT / name).is_dir():
            (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
