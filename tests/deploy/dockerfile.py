"""A Dockerfile read into stages, and carried out in a folder without Docker."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# The image's own folders; in what is carried out they lie below the emulated root.
_OURS = re.compile(r"(?<![\w./*-])/(?=(?:opt|src|srv|wheels|encoder|var/cache|usr/local|tmp)\b)")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::([+-])([^}]*))?\}|(\w+))")
_HOST = ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "http_proxy", "https_proxy", "no_proxy")


@dataclass(frozen=True)
class Instruction:
    keyword: str
    rest: str

    @property
    def words(self) -> list[str]:
        """Of the exec form or of the plain one, options (--from=…) left out."""
        if self.rest.startswith("["):
            return [str(word) for word in json.loads(self.rest)]
        return [word for word in shlex.split(self.rest) if not word.startswith("--")]

    def option(self, name: str) -> str | None:
        return next((word.partition("=")[2] for word in self.rest.split() if word.startswith(f"--{name}=")), None)


@dataclass
class Stage:
    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)

    def all_of(self, keyword: str) -> list[Instruction]:
        return [one for one in self.instructions if one.keyword == keyword]


def stages(path: Path) -> dict[str, Stage]:
    """Name -> stage, in the file's order; `base` is another stage's name or an image's."""
    found: dict[str, Stage] = {}
    current = None
    for one in _instructions(path.read_text()):
        if one.keyword == "FROM":
            base, _, name = one.rest.split()
            current = found[name] = Stage(name, base)
        elif current is not None:
            current.instructions.append(one)
    return found


def _instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if not re.match(r"\s*(#|$)", line)]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        keyword, _, rest = line.partition(" ")
        yield Instruction(keyword, rest.strip())


def lineage(found: Mapping[str, Stage], name: str) -> list[Stage]:
    """The stage *name* and those it is built on, the first one first."""
    stage = found[name]
    return [*(lineage(found, stage.base) if stage.base in found else []), stage]


class Context:
    """What is sent to the builder: the files of *folder* that its .dockerignore lets through."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        lines = [line.strip() for line in (folder / ".dockerignore").read_text().splitlines()]
        self._rules = [(line.lstrip("!"), line.startswith("!")) for line in lines if line and not line.startswith("#")]

    def admits(self, path: str) -> bool:
        """The last rule that fits decides; a rule for a folder is one for all that is in it."""
        admitted = True
        for pattern, again in self._rules:
            if any(_fits(pattern, part) for part in _with_parents(path)):
                admitted = again
        return admitted

    def copy(self, source: str, target: Path) -> None:
        """As COPY does: a folder's content, or a file into a folder if *target* is one."""
        origin = self.folder / source
        files = [origin] if origin.is_file() else [path for path in sorted(origin.rglob("*")) if path.is_file()]
        sent = [path for path in files if self.admits(path.relative_to(self.folder).as_posix())]
        assert sent, f"COPY {source}: .dockerignore keeps it from the builder, or it does not exist"
        for path in sent:
            place = target / path.relative_to(origin) if origin.is_dir() else target
            place = place / path.name if place.is_dir() else place
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place)


def _fits(pattern: str, path: str) -> bool:
    """`**` stands for any number of folders, `*` for anything but a /."""
    expression = "".join(
        {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}.get(piece, re.escape(piece))
        for piece in re.split(r"(\*\*/|\*|\?)", pattern)
    )
    return re.fullmatch(expression, path) is not None


def _with_parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


class Build:
    """
    Carries out the stages that one target needs. Every stage has the folder *root* while it is the one at work, so that
    paths inside it stay true; what it leaves is kept beside it for `COPY --from`.
    """

    def __init__(self, found: Mapping[str, Stage], context: Context, root: Path) -> None:
        self.root = root
        self.environment: dict[str, str] = {}
        self._found = found
        self._context = context
        self._made: dict[str, Path] = {}

    def make(self, target: str) -> None:
        """Afterwards *root* is the target's file system, as far as it is ours."""
        wanted = lineage(self._found, target)
        for stage in wanted:
            for one in stage.all_of("COPY"):
                if (other := one.option("from")) and other not in self._made:
                    self.make(other)
                    self._made[other] = self.root.rename(self.root.with_name(f"{self.root.name}-{other}"))
        self._begin()
        for stage in wanted:
            for one in stage.instructions:
                self._carry_out(one)

    def inside(self, path: str) -> str:
        """*path* of the image, or a command with such paths, as they are here."""
        return _OURS.sub(f"{self.root}/", path)

    def run(self, command: list[str], **variables: str) -> "subprocess.CompletedProcess[str]":
        environment = self._variables() | variables
        return subprocess.run(self._words(command), env=environment, capture_output=True, text=True, check=False)

    def start(self, command: list[str], **variables: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self._words(command),
            cwd=self._folder,
            env=self._variables() | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _words(self, command: list[str]) -> list[str]:
        program, *arguments = map(self.inside, command)
        found = shutil.which(program, path=self._variables()["PATH"])
        assert found, f"{program} is not on the image's PATH"
        return [found, *arguments]

    def _begin(self) -> None:
        """The base image, as far as it matters here: a Python with pip in /usr/local."""
        self.environment, self._folder = {}, self.root
        subprocess.run([sys.executable, "-m", "venv", str(self.root / "usr/local")], check=True)
        (self.root / "tmp").mkdir()

    def _carry_out(self, one: Instruction) -> None:
        if one.keyword == "RUN":
            self._run_shell(re.sub(r"--mount=\S+\s*", "", one.rest))
        elif one.keyword == "COPY":
            self._copy(one)
        elif one.keyword == "WORKDIR":
            self._folder = Path(self.inside(one.rest))
            self._folder.mkdir(parents=True, exist_ok=True)
        elif one.keyword in ("ENV", "ARG"):
            for word in one.words:
                name, _, value = word.partition("=")
                self.environment[name] = self._filled(value)

    def _run_shell(self, command: str) -> None:
        done = subprocess.run(
            ["sh", "-c", self.inside(command)],
            cwd=self._folder,
            env=self._variables() | _of_pip(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"RUN {command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"

    def _copy(self, one: Instruction) -> None:
        *sources, target = one.words
        place = Path(self.inside(target)) if target.startswith("/") else self._folder / target
        if stage := one.option("from"):
            assert len(sources) == 1
            shutil.copytree(self._made[stage] / sources[0].lstrip("/"), place, symlinks=True, dirs_exist_ok=True)
            return
        for source in sources:
            self._context.copy(source, place)

    def _variables(self) -> dict[str, str]:
        path = self.environment.get("PATH", "")
        ours = {name: self.inside(value) for name, value in self.environment.items()}
        known = {name: value for name, value in os.environ.items() if name in _HOST and name not in ours}
        here = f"{self.root}/usr/local/bin:/usr/local/bin:/usr/bin:/bin"
        return known | ours | {"PATH": f"{self.inside(path)}:{here}" if path else here}

    def _filled(self, value: str) -> str:
        def one(match: re.Match[str]) -> str:
            known = self.environment.get(match[1] or match[4], "")
            return (match[3] if known else "") if match[2] == "+" else known or match[3] or ""

        return _VARIABLE.sub(one, value)


def _of_pip() -> dict[str, str]:
    """This machine's ways to packages, and its cache in the place of the builder's."""
    return {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
