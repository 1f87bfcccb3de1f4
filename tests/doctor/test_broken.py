"""Deployments that are broken, each in its way: doctor says which part, and what to do."""

import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner

from smart_router.cli import app
from smart_router.cli.processes import free_port, smart_router, stop
from tests.e2e.models import AGENT, KINDS, Models
from tests.e2e.redis_process import RedisProcess
from tests.e2e.routers import KEY, Router, a_client, a_registry, environment, running_router, until
from tests.redis_servers import until as wait_until
from tests.upstream.servers import self_signed

from .conftest import Keyed, Standard
from .examined import examined
from .proxies import Proxy, a_proxy

pytestmark = pytest.mark.timeout(240)  # routers start, on a machine that may have much else to do
DRAINS_S = "60"
STARTS_WITHIN_S = 120.0
SHORT_S = "2"


@pytest.fixture
def proxy(alone: Router, models: Models) -> Iterator[Proxy]:
    with a_proxy(alone.url) as found:
        yield found


# model servers


def test_all_model_servers_are_down(tmp_path: Path) -> None:
    nowhere = {model: [f"http://127.0.0.1:{free_port()}"] for model in KINDS}
    with running_router(a_registry(tmp_path, nowhere), health_interval=0.1) as router:
        until(lambda: all(g["status"] == "unhealthy" for g in router.get("/health")["model_endpoints"].values()))
        found = examined(router.url)
    assert found.code == 1
    assert "503: no model can answer yet -> start the model server" in found.advice("ready", "fail")
    advice = found.advice("model servers: gpu0", "fail")
    assert nowhere[AGENT][0] in advice
    assert "VLLM_AGENT_URL" in advice
    assert "no_model_available" in found.advice("route: agent", "fail")
    assert found["streaming"]["seen"] == "because `route: agent` failed"
    assert found.named("pass") >= {"reachable", "router", "errors: unknown field", "metrics", "clock"}


def test_the_server_of_some_use_cases_is_down_and_others_go_on(crippled: Router, models: Models) -> None:
    found = examined(crippled.url)
    assert found.code == 1
    assert "cannot be reached -> start the model server" in found.advice("model servers: gpu2", "fail")
    assert "no_model_available" in found.advice("route: stt", "fail")
    assert "see `model servers` above" in found.advice("route: tts", "fail")
    assert "not available: multimodal, video, stt, tts, avatar" in found.advice("use cases", "warn")
    assert found.named("pass") >= {"ready", "route: agent", "follow-up bypass", "streaming"}


def test_a_server_knows_its_model_by_another_name(crippled: Router, models: Models) -> None:
    found = examined(crippled.url, "--quick")
    advice = found.advice("model servers: gpu1", "fail")
    assert "other/name" in advice
    assert "VLLM_AGENT_MODEL" in advice


def test_there_is_no_room(crippled: Router, models: Models) -> None:
    models.agent.fail("never-ends", count=1)
    with crippled.http.stream("POST", "/route", json={"query": "go", "use_case": "agent", "stream": True}):
        found = examined(crippled.url)
    advice = found.advice("route: agent", "fail")
    assert advice.startswith("503 upstream_busy")
    assert "max_in_flight" in advice


def test_a_model_server_hangs(alone: Router, models: Models) -> None:
    models.agent.fail("stall-before-headers")
    found = examined(alone.url, "--timeout", SHORT_S)
    advice = found.advice("route: agent", "fail")
    assert f"no answer within {SHORT_S} s -> see whether the model server hangs" in advice
    assert "FIRST_BYTE_TIMEOUT" in advice


def test_a_model_server_answers_with_errors(alone: Router, models: Models) -> None:
    models.agent.fail("error-500")
    found = examined(alone.url)
    advice = found.advice("route: agent", "fail")
    assert advice.startswith("502 upstream_broke")
    assert "model server's own log" in advice
    assert found["route: tts"]["status"] == "pass"


def test_a_model_that_sleeps_is_left_alone(standard: Standard, models: Models) -> None:
    router = standard.router
    assert router.http.post(f"/models/{AGENT}/unload?wait=true").status_code == 200
    standard.sleeper.reset()
    found = examined(router.url, key=KEY)
    assert "smart-router models load" in found.advice("route: agent", "skipped")
    assert standard.sleeper.received() == []
    assert "can be woken" in found["model servers: gpu0"]["seen"]


# Redis


def test_redis_is_gone(deployment: Router, models: Models, stored: RedisProcess) -> None:
    stored.stop()
    found = examined(deployment.url)
    stored.start()
    assert (found.code, found.named("fail")) == (1, {"redis"})
    assert "REDIS_URL" in found.advice("redis", "fail")
    until(lambda: bool(deployment.get("/health")["bypass_router"] == "connected"))


def test_without_redis_it_is_said_what_that_means(alone: Router) -> None:
    found = examined(alone.url, "--quick")
    assert (found.code, found.named("warn")) == (0, {"redis"})
    assert "end with it -> nothing for one router that may forget" in found.advice("redis", "warn")


def test_two_routers_share_no_sessions(alone: Router, deployment: Router, models: Models, stored: RedisProcess) -> None:
    with a_proxy(alone.url, deployment.url) as proxy:
        proxy.scatters = True
        found = examined(proxy.url)
    for key in stored.keys("doctor"):  # at the router that was not asked to end it
        deployment.http.delete(f"/sessions/{key.rpartition(':')[2]}")
    assert "was taken for a first turn -> the session was not found again" in found.advice("follow-up bypass", "fail")


# keys and limits


def test_the_key_is_wrong(standard: Standard) -> None:
    found, none, right = (examined(standard.router.url, "--quick", key=key) for key in ("sk-wrong", "", KEY))
    assert (found.code, none.code, right.code) == (1, 1, 0)
    assert "401 unauthorized" in found.advice("key", "fail")
    assert "compare --key or API_KEY" in found.advice("key", "fail")
    assert "none was given -> give the router's key with --key or API_KEY" in none.advice("key", "fail")
    assert found["model list"]["seen"] == "because `key` failed"
    assert {run["invalid key"]["status"] for run in (found, none, right)} == {"pass"}


def test_the_key_is_not_for_models(keyed: Keyed) -> None:
    found = examined(keyed.url, "--quick", key=keyed.metrics)
    assert found.code == 1
    assert "not for asking models" in found.advice("key", "fail")
    assert "--scope route" in found.advice("key", "fail")
    assert found["metrics"]["status"] == "pass"


def test_metrics_are_behind_a_key(keyed: Keyed) -> None:
    found = examined(keyed.url, "--quick", key=keyed.route)
    assert found.code == 0
    assert "403" in found.advice("metrics", "warn")
    assert "--scope metrics" in found.advice("metrics", "warn")


def test_the_rate_is_used_up(keyed: Keyed, models: Models) -> None:
    with a_client(keyed.url, Authorization=f"Bearer {keyed.slow}") as http:
        http.post("/classify", json={"query": "hello"})
    advice = examined(keyed.url, key=keyed.slow).advice("route: agent", "fail")
    assert "429 rate_limited" in advice
    assert "requests_per_minute" in advice


def test_it_is_open_to_others(deployment: Router, stored: RedisProcess) -> None:
    address = _own_address()
    found, with_key = (examined(f"http://{address}:{deployment.port}", "--quick", key=key) for key in ("", KEY))
    advice = found.advice("invalid key", "warn")
    assert f"whoever reaches {address} can use the router" in advice
    assert "set API_KEY" in advice
    assert "in the clear" in with_key.advice("encryption", "warn")


def _own_address() -> str:
    """One of this machine's that others reach; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but its own")
        return str(probe.getsockname()[0])


def test_somebody_in_front_answers_without_a_key(standard: Standard) -> None:
    with a_proxy(standard.router.url) as proxy:
        proxy.key = KEY
        found = examined(proxy.url, "--quick", key=KEY)
        proxy.key = ""
        proxy.answers["/v1/models"] = (302, b"")
        redirected = examined(proxy.url, "--quick", key=KEY)
    assert found["invalid key"]["seen"].startswith("any is accepted")
    assert "answered with 302" in redirected.advice("invalid key", "fail")


# the address


def test_nobody_is_at_the_address() -> None:
    found = examined(f"http://127.0.0.1:{free_port()}")
    assert found.code == 3
    assert "smart-router serve" in found.advice("reachable", "fail")
    assert found.named("pass", "warn") == set()


def test_another_service_is_at_the_address(tmp_path: Path) -> None:
    with _web_server(tmp_path) as url:
        found = examined(url)
    assert found.code == 3
    advice = found.advice("router", "fail")
    assert "another service (SimpleHTTP" in advice
    assert "ROUTER_PORT, 8001 unless set" in advice


def test_nobody_knows_the_certificate(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "IP:127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with _web_server(tmp_path, context) as url:
        found = examined(url.replace("http:", "https:"))
    assert found.code == 3
    assert "mend the certificate" in found.advice("reachable", "fail")


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _web_server(folder: Path, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(folder))) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_what_does_not_speak_http_is_at_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_says_hello, args=(listening,))
        thread.start()
        found = examined(f"http://127.0.0.1:{listening.getsockname()[1]}")
        thread.join()
    assert found.code == 3
    assert "does not speak HTTP" in found.advice("reachable", "fail")


def _says_hello(listening: socket.socket) -> None:
    with closing(listening.accept()[0]) as connection:
        connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n" * 3)
        connection.recv(65536)


def test_who_takes_the_connection_and_says_nothing_is_not_waited_for_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:  # the kernel takes it
        found = examined(f"http://127.0.0.1:{listening.getsockname()[1]}", "--quick")
    assert found.code == 3
    assert "no answer within" in found.advice("reachable", "fail")


def test_a_proxy_has_no_router_behind_it(proxy: Proxy) -> None:
    proxy.answers |= dict.fromkeys(("/livez", "/health"), (502, b"<html>502 Bad Gateway</html>"))
    found = examined(proxy.url)
    assert found.code == 3
    assert "start the router behind that proxy" in found.advice("router", "fail")


@pytest.mark.parametrize("url", ["localhost:8001", "ftp://localhost", "http://", "http://[::1"])
def test_what_is_no_address_is_wrong_usage(url: str) -> None:
    result = CliRunner().invoke(app, ["doctor", "--url", url])
    assert result.exit_code == 2
    assert f"--url: {url!r}" in result.stderr


# what stands between


def test_a_proxy_buffers_streams(proxy: Proxy) -> None:
    proxy.buffers = True
    found = examined(proxy.url)
    assert found.named("fail") == {"streaming"}
    assert "came at once" in found.advice("streaming", "fail")
    assert "proxy_buffering off" in found.advice("streaming", "fail")


def test_a_proxy_cuts_streams_off(proxy: Proxy) -> None:
    proxy.cuts_after = 3
    advice = examined(proxy.url).advice("streaming", "fail")
    assert "without the event `done`" in advice
    assert "read timeout" in advice


def test_a_clock_is_off(proxy: Proxy) -> None:
    proxy.headers = {"date": format_datetime(datetime.now(UTC) - timedelta(minutes=7), usegmt=True)}
    found = examined(proxy.url, "--quick")
    assert found.code == 1
    assert "behind the clock here" in found.advice("clock", "fail")
    assert "timedatectl" in found.advice("clock", "fail")


def test_an_older_router_tells_less(proxy: Proxy) -> None:
    gone = ("reason", "context_changed", "request_id")
    proxy.changed = lambda body: {name: value for name, value in body.items() if name not in gone}
    proxy.answers["/openapi.json"] = (200, b'{"info": {"version": "0.0.9"}}')
    found = examined(proxy.url)
    assert found.code == 1
    assert "lacks reason, context_changed, request_id -> an older router" in found.advice("route: agent", "fail")
    assert "router 0.0.9, this command" in found.advice("versions", "warn")
    assert "the router is older -> update" in found.advice("versions", "warn")


def test_answers_of_another_form_stop_nothing(proxy: Proxy) -> None:
    proxy.changed = lambda body: dict.fromkeys(body)
    found = examined(proxy.url, "--quick")
    assert found.code == 1
    assert "another form than expected" in found.advice("model list", "fail")
    assert found["metrics"]["status"] == "pass"


def test_a_proxy_puts_pages_in_place_of_errors(proxy: Proxy) -> None:
    proxy.answers["/doctor/asks/for/nothing"] = (404, b"<html>Oops</html>")
    proxy.without = ("referrer-policy",)
    found = examined(proxy.url, "--quick")
    assert "proxy_intercept_errors off" in found.advice("errors: unknown path", "fail")
    assert "lack Referrer-Policy" in found.advice("security headers", "warn")


def test_metrics_stay_inside_or_are_spoilt(proxy: Proxy) -> None:
    found = []
    for answer in ((404, b"not here"), (200, b"up{ 1\n"), (200, b"# TYPE up gauge\nup 1\n")):
        proxy.answers["/metrics"] = answer
        found.append(examined(proxy.url, "--quick"))
    inside, spoilt, others = found
    assert "keeps them inside" in inside.advice("metrics", "warn")
    assert "cannot be parsed" in spoilt.advice("metrics", "fail")
    assert "not smart_router_requests" in others.advice("metrics", "fail")


# the router itself


def test_in_standard_mode_it_is_said_that_bypass_is_off(standard: Standard, models: Models) -> None:
    found = examined(standard.router.url, key=KEY)
    assert found.code == 0
    assert "is off" in found.advice("follow-up bypass", "warn")
    assert "ROUTING_MODE=realtime" in found.advice("follow-up bypass", "warn")


def test_the_router_is_about_to_stop(models: Models, tmp_path: Path) -> None:
    port, registry = free_port(), a_registry(tmp_path, models.endpoints)
    told = environment(MODEL_REGISTRY=str(registry), LOG_LEVEL="error", DRAIN_DELAY=DRAINS_S)
    with subprocess.Popen(smart_router("serve", "--port", str(port)), env=told) as process:
        try:
            with a_client(f"http://127.0.0.1:{port}") as http:
                wait_until(lambda: _ready(http) == 200, "the router is ready", STARTS_WITHIN_S)
                process.send_signal(signal.SIGTERM)
                until(lambda: _ready(http) == 503)
            found = examined(f"http://127.0.0.1:{port}", "--quick")
        finally:
            stop(process)
    assert found.code == 1
    assert "503: about to stop" in found.advice("ready", "fail")
    assert "DRAIN_DELAY" in found.advice("ready", "fail")


def _ready(http: httpx2.Client) -> int:
    try:
        return http.get("/ready", headers={"Connection": "close"}).status_code
    except httpx2.TransportError:
        return 0
