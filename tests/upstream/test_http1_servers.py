"""The HTTP/1.1 client against servers that others wrote."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from smart_router.errors import BackendUnreachable
from smart_router.upstream.pool import Pool, Pools
from smart_router.upstream.response import Response

from .servers import (
    LARGE,
    aiohttp_server,
    nginx_server,
    on_both_loops,
    self_signed,
    some_pools,
    uvicorn_server,
)

SERVERS = ("uvicorn-httptools", "uvicorn-h11", "aiohttp", "nginx")
WITHIN_S = 30.0


@contextmanager
def running(name: str, folder: Path, certificate: tuple[Path, Path] | None = None) -> Iterator[str]:
    with ExitStack() as stack:
        if name == "nginx":
            behind = stack.enter_context(uvicorn_server("httptools"))
            yield stack.enter_context(nginx_server(folder, behind, certificate))
        elif name == "aiohttp":
            yield stack.enter_context(aiohttp_server(certificate))
        else:
            yield stack.enter_context(uvicorn_server(name.removeprefix("uvicorn-"), certificate))


@pytest.fixture(scope="module", params=SERVERS)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(request.param, tmp_path_factory.mktemp("server")) as found:
        yield found


async def got(pool: Pool, path: str, method: bytes = b"GET", **options: object) -> tuple[Response, bytes]:
    response = await pool.request(method, path.encode(), within_s=WITHIN_S, **options)  # type: ignore[arg-type]
    try:
        return response, await response.read(64 * 1024 * 1024, WITHIN_S)
    finally:
        response.close()


def holds(pools: Pools, url: str, *, idle: int) -> None:
    assert not pools.to(url)._busy
    assert len(pools.to(url)._idle) == idle


def digest_of(body: bytes) -> bytes:
    return f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode()


async def in_parts(body: bytes, size: int = 100_003) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]
        await asyncio.sleep(0)


@on_both_loops
async def test_a_plain_answer_arrives_and_its_connection_is_used_again(url: str) -> None:
    async with some_pools() as pools:
        for _ in range(3):
            response, body = await got(pools.to(url), "/plain")
            assert (response.status, body, response.header(b"x-odd")) == (200, b"hello", b"A b C")
            assert response.header(b"content-length") == b"5"
            holds(pools, url, idle=1)


@on_both_loops
async def test_a_streamed_answer_arrives_part_by_part(url: str) -> None:
    async with some_pools() as pools:
        response = await pools.to(url).request(b"GET", b"/chunked", within_s=WITHIN_S)
        parts = [part async for part in chunks(response)]
        response.close()
        assert b"".join(parts) == b"data: 1\n\ndata: 2\n\ndata: [DONE]\n\n"
        assert len(parts) > 1
        holds(pools, url, idle=1)


async def chunks(response: Response) -> AsyncIterator[bytes]:
    while part := await response.chunk(WITHIN_S):
        yield part


@on_both_loops
async def test_five_megabytes_go_both_ways(url: str) -> None:
    async with some_pools() as pools:
        _, body = await got(pools.to(url), "/echo", b"POST", body=LARGE)
        assert body == LARGE
        holds(pools, url, idle=1)
        _, body = await got(pools.to(url), "/large")
        assert body == LARGE
        holds(pools, url, idle=1)


@pytest.mark.parametrize("length", [len(LARGE), None], ids=["with a length", "in chunks"])
@on_both_loops
async def test_an_upload_is_streamed(url: str, length: int | None) -> None:
    async with some_pools() as pools:
        body = in_parts(LARGE)
        response, said = await got(pools.to(url), "/digest", b"POST", body=body, length=length)
        assert (response.status, said) == (200, digest_of(LARGE))
        holds(pools, url, idle=1)


@pytest.mark.parametrize("length", [0, None])
async def test_a_streamed_upload_may_be_empty(url: str, length: int | None) -> None:
    async with some_pools() as pools:
        _, said = await got(pools.to(url), "/digest", b"POST", body=in_parts(b""), length=length)
        assert said == digest_of(b"")
        holds(pools, url, idle=1)


@pytest.mark.parametrize("path", ["/204", "/304"])
async def test_an_answer_that_has_no_body_ends_with_its_head(url: str, path: str) -> None:
    async with some_pools() as pools:
        for _ in range(2):
            response, body = await got(pools.to(url), path)
            assert (response.status, body) == (int(path[1:]), b"")
            holds(pools, url, idle=1)


async def test_an_interim_100_is_passed_over(url: str) -> None:
    async with some_pools() as pools:
        expecting = [(b"expect", b"100-continue")]
        response, said = await got(pools.to(url), "/digest", b"POST", headers=expecting, body=b"x" * 1000)
        assert (response.status, said) == (200, digest_of(b"x" * 1000))
        holds(pools, url, idle=1)


async def test_a_connection_that_the_server_ends_is_not_used_again(url: str) -> None:
    async with some_pools() as pools:
        for _ in range(2):
            response, body = await got(pools.to(url), "/closing")
            assert (response.status, body) == (200, b"bye")
            holds(pools, url, idle=0)


@pytest.mark.parametrize("length", [len(LARGE), None], ids=["with a length", "in chunks"])
@on_both_loops
async def test_an_early_refusal_is_heard_during_the_upload(url: str, length: int | None) -> None:
    async with some_pools() as pools:
        body = in_parts(LARGE)
        response = await pools.to(url).request(b"POST", b"/refusing", body=body, length=length, within_s=WITHIN_S)
        assert response.status == 413
        response.close()
        assert len(pools.to(url)._idle) <= 1
        assert (await got(pools.to(url), "/plain"))[1] == b"hello"


async def test_an_early_refusal_of_a_whole_body_is_heard(url: str) -> None:
    async with some_pools() as pools:
        response = await pools.to(url).request(b"POST", b"/refusing", body=b"x" * 60_000, within_s=WITHIN_S)
        assert response.status == 413
        response.close()
        assert (await got(pools.to(url), "/plain"))[1] == b"hello"


async def test_many_exchanges_at_a_time_each_get_their_own_answer(url: str) -> None:
    async with some_pools() as pools:
        bodies = [f"{number}".encode() * 999 for number in range(40)]
        answers = await asyncio.gather(*(got(pools.to(url), "/echo", b"POST", body=body) for body in bodies))
        assert [body for _, body in answers] == bodies
        holds(pools, url, idle=40)


async def test_the_trailers_of_nginx_are_passed_over(tmp_path: Path) -> None:
    with running("nginx", tmp_path) as url:
        async with some_pools() as pools:
            for _ in range(2):
                response, body = await got(pools.to(url), "/trailers", headers=[(b"te", b"trailers")])
                assert body.endswith(b"[DONE]\n\n")
                assert response.header(b"x-after") is None
                holds(pools, url, idle=1)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return self_signed(tmp_path_factory.mktemp("tls"), "IP:127.0.0.1")


@pytest.fixture(scope="module", params=["uvicorn-httptools", "aiohttp", "nginx"])
def tls_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]
) -> Iterator[str]:
    with running(request.param, tmp_path_factory.mktemp("server"), certificate) as found:
        yield found


@on_both_loops
async def test_over_tls_large_bodies_go_both_ways(tls_url: str, certificate: tuple[Path, Path]) -> None:
    async with some_pools(connect_s=5.0, tls=ssl.create_default_context(cafile=certificate[0])) as pools:
        for _ in range(2):
            assert (await got(pools.to(tls_url), "/echo", b"POST", body=LARGE))[1] == LARGE
            holds(pools, tls_url, idle=1)
        _, said = await got(pools.to(tls_url), "/digest", b"POST", body=in_parts(LARGE))
        assert said == digest_of(LARGE)


@on_both_loops
async def test_over_tls_leaving_in_the_middle_drops_the_connection(
    tls_url: str, certificate: tuple[Path, Path]
) -> None:
    async with some_pools(connect_s=5.0, tls=ssl.create_default_context(cafile=certificate[0])) as pools:
        response = await pools.to(tls_url).request(b"GET", b"/large", within_s=WITHIN_S)
        await response.chunk(WITHIN_S)
        response.close()
        holds(pools, tls_url, idle=0)


@on_both_loops
async def test_an_unknown_certificate_is_refused(tls_url: str) -> None:
    async with some_pools(connect_s=5.0) as pools:
        with pytest.raises(BackendUnreachable) as caught:
            await pools.to(tls_url).request(b"GET", b"/plain", within_s=WITHIN_S)
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
        holds(pools, tls_url, idle=0)


@on_both_loops
async def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    other = self_signed(tmp_path, "DNS:other.example")
    with running("aiohttp", tmp_path, other) as url:
        async with some_pools(connect_s=5.0, tls=ssl.create_default_context(cafile=other[0])) as pools:
            with pytest.raises(BackendUnreachable):
                await pools.to(url).request(b"GET", b"/plain", within_s=WITHIN_S)
            holds(pools, url, idle=0)


async def test_a_server_without_tls_is_unreachable_over_tls(tmp_path: Path) -> None:
    with running("uvicorn-httptools", tmp_path) as url:
        async with some_pools(connect_s=5.0) as pools:
            with pytest.raises(BackendUnreachable):
                await pools.to(url.replace("http:", "https:")).request(b"GET", b"/plain", within_s=WITHIN_S)
