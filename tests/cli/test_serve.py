"""`smart-router serve` without a key: only for whoever is on this machine, unless the operator wants otherwise."""

from typing import Any

import pytest
import typer

from smart_router.cli.serve import _check_who_can_come_in
from tests.fakes import settings

pytestmark = pytest.mark.usefixtures("bare_environment")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_on_a_loopback_address_it_is_open_and_says_so(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    _check_who_can_come_in(host, settings())
    assert "no key is configured" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.1.2.3", "no such host.invalid"])
def test_elsewhere_it_does_not_start(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        _check_who_can_come_in(host, settings())
    assert ended.value.exit_code == 2
    said = capsys.readouterr().err
    assert all(name in said for name in ("API_KEY", "API_KEYS_FILE", "ALLOW_OPEN=true"))


@pytest.mark.parametrize("allowed", [{"api_key": "sk-1"}, {"api_keys_file": "keys.json"}])
def test_with_keys_any_address_will_do(allowed: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    _check_who_can_come_in("0.0.0.0", settings(**allowed))
    assert capsys.readouterr().err == ""


def test_told_so_it_is_open_to_all_with_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    _check_who_can_come_in("0.0.0.0", settings(allow_open=True))
    assert "no key is configured" in capsys.readouterr().err
