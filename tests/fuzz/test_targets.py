"""The fuzz targets hold on all that is known, and for a few seconds on what is not; and they can fail."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fuzz.__main__ import holds
from tests.fuzz.seeds import CORPUS, TARGETS, seeds

pytestmark = pytest.mark.usefixtures("bare_environment")

SECONDS = 5
MOST_BYTES = 4096  # of a file that is kept
KNOWN = [(target, name, data) for target in TARGETS for name, data in seeds(target).items()]
guided = pytest.mark.skipif(find_spec("atheris") is None, reason="no atheris: it is for Linux on x86-64 alone")


@pytest.mark.parametrize(("target", "data"), [known[::2] for known in KNOWN], ids=[f"{k[0]}-{k[1]}" for k in KNOWN])
def test_a_target_holds_on_what_is_known(target: str, data: bytes) -> None:
    import_module(f"tests.fuzz.{target}").check(data)


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_of_a_target_is_there_and_small(target: str) -> None:
    files = [*(CORPUS / target).iterdir()]
    assert files
    assert max(path.stat().st_size for path in files) <= MOST_BYTES


@guided
@pytest.mark.parametrize("target", TARGETS)
def test_a_target_holds_for_a_few_seconds_of_new_inputs(target: str, tmp_path: Path) -> None:
    assert holds(target, SECONDS, tmp_path, "-seed=1")
    assert not [*tmp_path.glob("crash-*")]


@guided
def test_what_breaks_a_promise_is_told_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tests/fuzz/broken.py` is a target that does not hold."""
    monkeypatch.setattr("tests.fuzz.__main__.seeds", lambda target: {"a": b"a"})
    assert not holds("broken", 40, tmp_path, "-seed=1")
    (kept,) = tmp_path.glob("crash-*")
    with pytest.raises(AssertionError):
        import_module("tests.fuzz.broken").check(kept.read_bytes())
