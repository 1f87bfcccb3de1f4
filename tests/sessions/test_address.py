"""What the URL of a Redis says is done: who we are, which database, which socket, and TLS."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from smart_router.cli.processes import find_redis_server, free_port, stop
from smart_router.errors import ConfigurationError, StoreUnavailable
from smart_router.sessions.address import Address
from smart_router.sessions.batching import BatchedConnection


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[BatchedConnection]:
    connection = BatchedConnection(Address.of(url), timeout_s=5.0)
    try:
        await connection.open()
        yield connection
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def guarded_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """Listens on a port and on a unix socket; wants the password `p@ss/word`."""
    program, port = find_redis_server(), free_port()
    if program is None:
        pytest.skip("no redis-server")
    path = tmp_path_factory.mktemp("redis") / "socket"
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--unixsocket", str(path)]
    process = subprocess.Popen([*command, "--requirepass", "p@ss/word"], stdout=subprocess.DEVNULL)
    try:
        yield port, path
    finally:
        stop(process)


async def until_listening(path: Path) -> None:
    async with asyncio.timeout(10):
        while not path.exists():  # noqa: ASYNC110, ASYNC240  # a file has no event
            await asyncio.sleep(0.01)


async def test_the_password_is_given(guarded_redis: tuple[int, Path]) -> None:
    port, path = guarded_redis
    await until_listening(path)
    async with connected(f"redis://:p%40ss%2Fword@127.0.0.1:{port}") as connection:
        assert await connection.call("PING") == b"PONG"


async def test_the_user_is_given(guarded_redis: tuple[int, Path]) -> None:
    port, path = guarded_redis
    await until_listening(path)
    async with connected(f"redis://:p%40ss%2Fword@127.0.0.1:{port}") as connection:
        await connection.call("ACL", "SETUSER", "ann", "on", ">secret", "+@all", "~*")
    async with connected(f"redis://ann:secret@127.0.0.1:{port}?client_name=router") as connection:
        assert await connection.call("ACL", "WHOAMI") == b"ann"
        assert await connection.call("CLIENT", "GETNAME") == b"router"


@pytest.mark.parametrize(("credentials", "reason"), [(":wrong@", "WRONGPASS"), ("ann:wrong@", "WRONGPASS")])
async def test_a_wrong_password_is_said_so(guarded_redis: tuple[int, Path], credentials: str, reason: str) -> None:
    port, path = guarded_redis
    await until_listening(path)
    with pytest.raises(StoreUnavailable, match=reason):
        async with connected(f"redis://{credentials}127.0.0.1:{port}"):
            pass


async def test_a_unix_socket_is_used(guarded_redis: tuple[int, Path]) -> None:
    _, path = guarded_redis
    await until_listening(path)
    async with connected(f"unix://:p%40ss%2Fword@{path}?db=3") as connection:
        assert b" db=3 " in await connection.call("CLIENT", "LIST")


@pytest.mark.parametrize("where", ["/7", "?db=7", "/1?db=7"])
async def test_the_database_is_selected(redis_url: str, where: str) -> None:
    async with connected(redis_url.removesuffix("/0") + where) as connection, Redis.from_url(redis_url) as behind:
        mine = await connection.call("CLIENT", "ID")
        assert [client["db"] for client in await behind.client_list() if int(client["id"]) == mine] == ["7"]


async def test_a_database_that_does_not_exist_is_said_so(redis_url: str) -> None:
    with pytest.raises(StoreUnavailable, match="out of range"):
        async with connected(f"{redis_url}?db=999"):
            pass


@pytest.mark.parametrize("option", ["no_such_option=1", "ssl_no_such=1"])
@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_an_unknown_option_stops_the_start(scheme: str, option: str) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL"):
        Address.of(f"{scheme}://127.0.0.1?{option}")


@pytest.mark.parametrize("option", ["ssl_ca_certs=/no/such/file", "ssl_certfile=/no/such", "ssl_cert_reqs=perhaps"])
def test_a_tls_option_that_cannot_be_used_stops_the_start(option: str) -> None:
    with pytest.raises(ConfigurationError, match="TLS"):
        Address.of(f"rediss://127.0.0.1?{option}")


# TLS: the redis-server at hand has none, so that something else ends it in front of a Redis


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Of localhost, by itself; and its key."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("no openssl makes a certificate")
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "certificate.pem", folder / "key.pem"
    what = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(
        [program, "req", *what, *names, "-out", str(made), "-keyout", str(key)], check=True, capture_output=True
    )
    return made, key


@asynccontextmanager
async def tls_in_front_of(redis_url: str, certificate: tuple[Path, Path]) -> AsyncIterator[int]:
    """The port of a server that ends TLS and passes everything on."""
    host, _, port = redis_url.removeprefix("redis://").removesuffix("/0").partition(":")
    passing: set[asyncio.Task[None]] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
        passing.update(asyncio.create_task(copy(*ends)) for ends in ((reader, inner_writer), (inner_reader, writer)))

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*passing)


async def test_tls_is_spoken(redis_url: str, certificate: tuple[Path, Path]) -> None:
    async with (
        tls_in_front_of(redis_url, certificate) as port,
        connected(f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate[0]}") as connection,
    ):
        texts = [bytes([65 + i]) * 100_000 for i in range(10)]
        assert await asyncio.gather(*(connection.call("ECHO", text) for text in texts)) == texts


async def test_a_certificate_that_nobody_vouches_for_is_refused(redis_url: str, certificate: tuple[Path, Path]) -> None:
    async with tls_in_front_of(redis_url, certificate) as port:
        with pytest.raises(StoreUnavailable, match="certificate verify failed"):
            async with connected(f"rediss://127.0.0.1:{port}"):
                pass
        async with connected(f"rediss://127.0.0.1:{port}?ssl_cert_reqs=none") as connection:
            assert await connection.call("PING") == b"PONG"
