"""Kinds of others: found by `module:Class`, and what is wrong with a name is said."""

from pathlib import Path

import pytest

from smart_router.errors import ConfigurationError
from smart_router.kinds import imported


def test_a_class_is_found() -> None:
    assert imported("collections:OrderedDict").__name__ == "OrderedDict"


@pytest.mark.parametrize("name", ["acme", "acme:", ":Acme", "acme:Acme.inner", "../acme:Acme", "acme:Acme()", "a b:C"])
def test_what_is_of_another_form_is_not_looked_for(name: str) -> None:
    with pytest.raises(ConfigurationError, match="is not of the form module:Class"):
        imported(name)


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"no_such_module:Acme: .* PYTHONPATH"):
        imported("no_such_module:Acme")


def test_a_module_that_breaks_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "breaking_kind.py").write_text("raise RuntimeError('no licence')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigurationError, match="RuntimeError: no licence"):
        imported("breaking_kind:Acme")


@pytest.mark.parametrize("name", ["collections:Missing", "math:pi"])
def test_what_cannot_be_called_is_no_kind(name: str) -> None:
    with pytest.raises(ConfigurationError, match="no class or function of that name"):
        imported(name)
