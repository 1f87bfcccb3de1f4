"""What names resolve to: looked up in time, remembered for a while, and by few at once."""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from smart_router.access.links import KEPT_S, MOST_AT_ONCE, MOST_KEPT, MOST_NAMES, Link, Links, resolve
from smart_router.errors import BadRequest, LinksWait

PUBLIC, INSIDE = "93.184.215.14", "10.0.0.7"
PICTURE = "messages[0].content[0].image_url.url"


class Names:
    """Resolves as told, and counts. A name that is not told of is unknown; one without addresses never answers."""

    def __init__(self, **addresses: Sequence[str]) -> None:
        self.addresses = {name.replace("_", "."): found for name, found in addresses.items()}
        self.asked: list[str] = []
        self.under_way = self.most = 0
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, name: str) -> Sequence[str]:
        self.asked.append(name)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.go.wait()
            if name not in self.addresses:
                raise socket.gaierror(socket.EAI_NONAME, "unknown")
            return self.addresses[name]
        finally:
            self.under_way -= 1


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def to(*hosts: str) -> list[Link]:
    return [(PICTURE.replace("0]", f"{i}]"), f"https://{host}/a.png") for i, host in enumerate(hosts)]


async def test_a_name_of_public_addresses_passes() -> None:
    names = Names(example_org=[PUBLIC])
    await Links(("*",), names).admit(to("example.org"))
    assert names.asked == ["example.org"]


async def test_a_name_with_one_inner_address_is_refused_and_its_place_named() -> None:
    names = Names(example_org=[PUBLIC], rebound_org=[PUBLIC, INSIDE])
    with pytest.raises(BadRequest, match=r"messages\[1\].*must lead to a public host") as caught:
        await Links(("*",), names).admit(to("example.org", "rebound.org"))
    assert INSIDE not in caught.value.message


async def test_a_name_that_nobody_knows_is_left_to_the_model_server() -> None:
    await Links(("*",), Names()).admit(to("unknown.org"))


async def test_a_name_is_looked_up_once_by_all_and_again_after_a_while() -> None:
    names, clock = Names(example_org=[PUBLIC]), Clock()
    links = Links(("*",), names, clock)
    await asyncio.gather(*(links.admit(to("example.org", "EXAMPLE.org.")) for _ in range(20)))
    clock.now += KEPT_S - 0.1
    await links.admit(to("example.org"))
    assert len(names.asked) == 1
    names.addresses["example.org"] = [INSIDE]
    clock.now += 0.1
    with pytest.raises(BadRequest):
        await links.admit(to("example.org"))


async def test_a_slow_name_server_is_waited_for_a_second_and_no_more() -> None:
    names = Names()
    names.go.clear()
    async with asyncio.timeout(10):
        await Links(("*",), names).admit(to("slow.org"))
    names.go.set()


async def test_that_a_name_could_not_be_resolved_is_not_remembered() -> None:
    names = Names()
    links = Links(("*",), names)
    await links.admit(to("example.org"))
    names.addresses["example.org"] = [INSIDE]
    with pytest.raises(BadRequest):
        await links.admit(to("example.org"))


async def test_an_answer_that_comes_late_is_for_those_who_ask_next() -> None:
    names = Names(example_org=[INSIDE])
    names.go.clear()
    links = Links(("*",), names)
    await links.admit(to("example.org"))
    asking = asyncio.create_task(links.admit(to("example.org")))
    await asyncio.sleep(0)
    names.go.set()
    for next_one in (asking, links.admit(to("example.org"))):
        with pytest.raises(BadRequest):
            await next_one
    assert names.asked == ["example.org"]


async def test_a_name_that_finds_no_place_for_its_look_up_is_refused_not_admitted() -> None:
    names = Names(rebound_org=[INSIDE])
    names.go.clear()
    links = Links(("*",), names)
    slow = [asyncio.create_task(links.admit(to(f"slow{i}.org"))) for i in range(MOST_AT_ONCE)]
    await asyncio.sleep(0)
    for _ in range(2):
        with pytest.raises(LinksWait, match="try again shortly") as caught:
            await links.admit(to("rebound.org"))
        assert caught.value.status == 503
        assert caught.value.retry_after_s
    await asyncio.gather(*slow)
    names.go.set()
    with pytest.raises(BadRequest):
        await links.admit(to("rebound.org"))


async def test_a_look_up_needs_nothing_that_other_work_in_threads_needs() -> None:
    busy = ThreadPoolExecutor(1)
    busy.shutdown()
    asyncio.get_running_loop().set_default_executor(busy)
    assert "127.0.0.1" in await resolve("localhost")


async def test_a_name_that_cannot_be_one_is_no_failure_of_the_router() -> None:
    await Links(("*",), resolve).admit(to(".".join(["a" * 63] * 3 + ["invalid"])))


async def test_one_who_leaves_takes_the_answer_from_nobody() -> None:
    names = Names(example_org=[INSIDE])
    names.go.clear()
    links = Links(("*",), names)
    leaving, staying = (asyncio.create_task(links.admit(to("example.org"))) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    names.go.set()
    with pytest.raises(BadRequest):
        await staying


async def test_few_names_are_looked_up_at_once() -> None:
    names = Names(**{f"a{i}_org": [PUBLIC] for i in range(MOST_NAMES)})
    names.go.clear()
    asking = asyncio.create_task(Links(("*",), names).admit(to(*(f"a{i}.org" for i in range(MOST_NAMES)))))
    for _ in range(100):  # turns of the loop: all that can begin has begun
        await asyncio.sleep(0)
    names.go.set()
    await asking
    assert len(names.asked) == MOST_NAMES
    assert names.most == MOST_AT_ONCE


async def test_a_request_names_so_many_hosts_and_no_more() -> None:
    with pytest.raises(BadRequest, match=f"at most {MOST_NAMES} hosts"):
        await Links(("*",), Names()).admit(to(*(f"a{i}.org" for i in range(MOST_NAMES + 1))))


async def test_what_is_remembered_is_bounded() -> None:
    names = Names(**{f"a{i}_org": [PUBLIC] for i in range(MOST_KEPT + 10)})
    links = Links(("*",), names)
    for i in range(MOST_KEPT + 10):
        await links.admit(to(f"a{i}.org"))
    await links.admit(to(f"a{MOST_KEPT + 9}.org"))
    assert len(names.asked) == MOST_KEPT + 10
    await links.admit(to("a0.org"))
    assert len(names.asked) == MOST_KEPT + 11


@pytest.mark.parametrize("hosts", [("cdn.example.org",), ()])
async def test_with_listed_hosts_or_none_nothing_is_looked_up(hosts: tuple[str, ...]) -> None:
    names = Names()
    for host in ("cdn.example.org", "other.org"):
        try:
            await Links(hosts, names).admit(to(host))
        except BadRequest:
            assert host not in hosts
        else:
            assert host in hosts
    assert names.asked == []


async def test_the_system_is_asked_as_every_program_on_this_machine_asks_it() -> None:
    assert "127.0.0.1" in await resolve("localhost")
