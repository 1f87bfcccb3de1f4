"""`python -m tests.fuzz [target ...] [--seconds N]`: each target under libFuzzer, from all that is known."""

import argparse
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.seeds import TARGETS, seeds

ROOT = Path(__file__).parents[2]
FOUND = ROOT / ".fuzz"  # per target: a corpus that grows from run to run, and what broke a promise
SLOWEST_S = 10  # one input; it takes some milliseconds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="target", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    given = parser.parse_args()
    if unknown := set(given.targets) - set(TARGETS):
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    if find_spec("atheris") is None:
        parser.error("needs atheris, which is for Linux on x86-64; tests/fuzz/test_targets.py replays what is known")
    broken = [target for target in given.targets or TARGETS if not holds(target, given.seconds, FOUND / target)]
    for target in broken:
        print(f"{target}: a promise is broken; again: python -m tests.fuzz.guided {target} {FOUND / target}/<file>")
    return len(broken)


# libFuzzer limits the highest memory that getrusage(2) knows, and a child begins with that of its parent, a test run.
AS_A_GRANDCHILD = ("/bin/sh", "-c", '"$@"; exit $?', "fuzz")


def holds(target: str, seconds: int, folder: Path, *more: str) -> bool:
    """Fuzz *target* from what is known; what breaks it is written to *folder*."""
    corpus, dictionary = folder / "corpus", folder / "words"
    corpus.mkdir(parents=True, exist_ok=True)
    for name, data in seeds(target).items():
        (corpus / name).write_bytes(data)
    dictionary.write_text("".join(map(_entry, import_module(f"tests.fuzz.{target}").WORDS)))
    options = [f"-max_total_time={seconds}", f"-timeout={SLOWEST_S}", f"-artifact_prefix={folder}/"]
    options += [f"-dict={dictionary}", "-print_final_stats=1", *more, str(corpus)]
    command = [sys.executable, "-m", "tests.fuzz.guided", target, *options]
    ended = subprocess.run([*AS_A_GRANDCHILD, *command], cwd=ROOT, check=False).returncode
    print(f"{target}: ended with {ended}", file=sys.stderr, flush=True)
    return ended == 0


def _entry(word: bytes) -> str:
    """Of a libFuzzer dictionary."""
    return f'"{"".join(f"{chr(92)}x{byte:02x}" for byte in word)}"\n'


if __name__ == "__main__":
    sys.exit(main())
