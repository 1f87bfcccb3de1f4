"""A whole router refuses all that hostile users send."""

import pytest
from loadtests.attacks import ATTACKS, Attack, attacks, send
from loadtests.servers import Site


@pytest.mark.timeout(120)  # the first of them starts the router
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: f"{attack.name} at {attack.path}")
def test_every_attack_is_refused(site: Site, attack: Attack) -> None:
    assert 400 <= send(attack, site.url, site.key or "") < 500


def test_what_is_no_attack_is_answered(site: Site) -> None:
    query = Attack("none", "/route", b'{"query": "Write a haiku about rain", "max_tokens": 4}')
    assert send(query, site.url, site.key or "") == 200


def test_a_router_without_a_key_is_sent_no_wrong_ones() -> None:
    assert not any(attack.needs_key for attack in attacks(router_has_key=False))
    assert any(attack.needs_key for attack in attacks(router_has_key=True))
