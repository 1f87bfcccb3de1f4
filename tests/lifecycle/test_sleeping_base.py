"""An adapter whose base sleeps, on servers of both kinds: asking the adapter wakes the base, then loads the adapter."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from smart_router.errors import ModelKept, ModelNotReady, NoRoom
from smart_router.lifecycle.lora import Lora
from smart_router.lifecycle.sleep import Sleep
from smart_router.simulate import running as simulated
from tests.fakes import a_model
from tests.lifecycle.fakes import FakeAgreement, Router, Servers, registry_of, running, until
from tests.lifecycle.worlds import a_server

pytestmark = pytest.mark.usefixtures("bare_environment")

REAL = {"sleep": Sleep, "lora": Lora}


@pytest.fixture
async def router() -> AsyncIterator[Router]:
    """`base`, which `legal` is loaded into, and `other` share a place."""
    with simulated(a_server(enable_lora=True)) as one, simulated(a_server(id="other")) as two:
        registry = registry_of(
            a_model("base", one, lifecycle="sleep", group="gpu"),
            a_model("other", two, lifecycle="sleep", group="gpu"),
            a_model("legal", one, lifecycle="lora", lora={"path": "/adapters/legal", "base": "base"}),
        )
        async with running(Router(registry, Servers(), FakeAgreement(), REAL)) as found:
            await until(lambda: [found.state(name) for name in ("base", "other")].count("awake") == 1)
            yield found


async def test_an_adapter_has_its_base_woken_and_comes_back_with_it(router: Router) -> None:
    for _ in range(2):
        await router.served("other", "s2")
        await until(lambda: router.state("legal") == "sleeping")
        await router.served("legal", "s1")
        await until(lambda: router.state("base") == "awake")
        assert (router.state("other"), router.state("legal")) == ("sleeping", "awake")


async def test_both_and_their_neighbour_are_served_in_turn(router: Router) -> None:
    names = ("base", "legal", "other")
    await asyncio.gather(*(router.served(name, f"{name}{i}") for i in range(10) for name in names))


async def test_a_pinned_adapter_keeps_its_base(router: Router) -> None:
    await router.served("other", "s2")
    await router.manager.pin("legal", True)
    await until(lambda: router.state("legal") == "awake")
    with pytest.raises(ModelKept, match="base has adapters that are kept awake: legal"):
        await router.manager.unload("base")
    with pytest.raises(ModelNotReady, match="other has no room"):
        await router.served("other", "s2")
    await router.manager.pin("legal", False)
    await router.served("other", "s2")


async def test_an_adapter_whose_base_has_no_room_is_not_pinned(router: Router) -> None:
    await router.manager.pin("other", True)
    with pytest.raises(NoRoom, match="base has no room beside other"):
        await router.manager.pin("legal", True)
