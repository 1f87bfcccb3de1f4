"""Settings: every malformed variable names itself and what is allowed, and secrets are never printed."""

from pathlib import Path

import pytest

from smart_router.cli.configured import configured
from smart_router.errors import ConfigurationError
from smart_router.sessions import open_store
from smart_router.settings import Settings, load_settings

SECRET = "hunter2-do-not-print"

pytestmark = pytest.mark.usefixtures("bare_environment")
Set = pytest.MonkeyPatch


def refusal(monkeypatch: Set, **variables: str) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    return str(caught.value)


def secret(value: object) -> str:
    assert hasattr(value, "get_secret_value")
    return str(value.get_secret_value())


# what is right


def test_nothing_has_to_be_set() -> None:
    found = load_settings()
    assert (found.routing_mode, found.router_port, found.session_timeout) == ("realtime", 8001, 1800)
    assert (found.redis_url, found.api_key, found.model_registry) == (None, None, None)
    assert found.encoder_model.endswith("all-MiniLM-L6-v2")


def test_variables_are_read_under_the_names_users_know(monkeypatch: Set) -> None:
    monkeypatch.setenv("ROUTING_MODE", "standard")
    monkeypatch.setenv("SESSION_TIMEOUT", "60")
    monkeypatch.setenv("MEMORY_TURNS", "3")
    monkeypatch.setenv("LOG_LEVEL", "WARNING")
    found = load_settings()
    assert (found.routing_mode, found.session_timeout, found.memory_turns) == ("standard", 60, 3)
    assert found.log_level == "warning"


def test_variables_of_deciding_are_read_under_the_names_users_know(monkeypatch: Set) -> None:
    told = {
        "RETURN_MARGIN": 0.1,
        "CONFLICT_THRESHOLD": 0.8,
        "SHADOW_SHARE": 1.0,
        "LLM_CLASSIFIER_MODEL": "Qwen/Qwen2.5-7B-Instruct",
        "LLM_CLASSIFIER_BELOW": 0.6,
        "LLM_CLASSIFIER_TIMEOUT": 0.25,
        "ENCODER_PROMPT": "query: ",
    }
    for name, value in told.items():
        monkeypatch.setenv(name, str(value))
    found = load_settings()
    assert {name: getattr(found, name.lower()) for name in told} == told


def test_unless_asked_for_there_is_no_second_opinion_and_the_encoders_own_prompt() -> None:
    found = load_settings()
    assert (found.llm_classifier_model, found.encoder_prompt) == ("", None)


def test_an_empty_variable_counts_as_unset(monkeypatch: Set) -> None:
    names = (
        "REDIS_URL",
        "API_KEY",
        "ROUTER_PORT",
        "ROUTING_MODE",
        "CORS_ORIGINS",
        "LLM_CLASSIFIER_MODEL",
        "SHADOW_SHARE",
    )
    for name in names:
        monkeypatch.setenv(name, "")
    assert load_settings() == Settings()


def test_origins_are_a_list_with_commas(monkeypatch: Set) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example, https://b.example,")
    assert load_settings().cors_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("given", "hosts"),
    [
        ("*", ("*",)),
        ("none", ()),
        ("CDN.example.org, *.example.com", ("cdn.example.org", "*.example.com")),
        ("", ("*",)),
    ],
)
def test_hosts_of_media_are_any_none_or_listed(monkeypatch: Set, given: str, hosts: tuple[str, ...]) -> None:
    monkeypatch.setenv("MEDIA_HOSTS", given)
    assert load_settings().media_hosts == hosts


def test_a_host_or_a_parameter_that_is_none_is_named(monkeypatch: Set) -> None:
    said = refusal(monkeypatch, MEDIA_HOSTS="https://a.org/x", ALLOW_PARAMETERS="chat_templates", MAX_CHOICES="0")
    assert "MEDIA_HOSTS: must be *, none, or hosts" in said
    assert "ALLOW_PARAMETERS: 'chat_templates' is none of" in said
    assert "MAX_CHOICES" in said
    assert "1 to 1024" in said


def test_parameters_to_allow_are_names_with_commas(monkeypatch: Set) -> None:
    monkeypatch.setenv("ALLOW_PARAMETERS", "chat_template, grammar")
    assert load_settings().allow_parameters == ("chat_template", "grammar")


@pytest.mark.parametrize("url", ["redis://h:6379/0", "rediss://u:p@h/1", "unix:///run/redis.sock"])
def test_redis_may_be_reached_in_several_ways(monkeypatch: Set, url: str) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    assert secret(load_settings().redis_url) == url


def test_router_port_comes_before_port(monkeypatch: Set) -> None:
    monkeypatch.setenv("PORT", "9000")
    assert load_settings().router_port == 9000
    monkeypatch.setenv("ROUTER_PORT", "9001")
    assert load_settings().router_port == 9001


def test_settings_do_not_show_their_secrets(monkeypatch: Set) -> None:
    monkeypatch.setenv("API_KEY", SECRET)
    monkeypatch.setenv("REDIS_URL", f"redis://:{SECRET}@h:6379")
    assert SECRET not in repr(load_settings()) + str(load_settings()) + load_settings().model_dump_json()


# .env


def dotenv(*lines: str) -> None:
    Path(".env").write_text("\n".join(lines) + "\n")


def test_dotenv_is_read() -> None:
    dotenv("# mine", "ROUTING_MODE=standard", f'API_KEY="{SECRET}"', "ROUTER_PORT=9002", "UNRELATED=1")
    found = load_settings()
    assert (found.routing_mode, found.router_port) == ("standard", 9002)
    assert secret(found.api_key) == SECRET


def test_the_environment_wins_over_dotenv(monkeypatch: Set) -> None:
    dotenv("SESSION_TIMEOUT=10")
    monkeypatch.setenv("SESSION_TIMEOUT", "20")
    assert load_settings().session_timeout == 20


def test_port_is_read_from_dotenv_too() -> None:
    dotenv("PORT=9003")
    assert load_settings().router_port == 9003


def test_a_malformed_value_of_dotenv_stops_the_start() -> None:
    dotenv("SESSION_TIMEOUT=soon")
    with pytest.raises(ConfigurationError, match="SESSION_TIMEOUT"):
        load_settings()


def test_the_registry_sees_the_addresses_in_dotenv() -> None:
    dotenv("VLLM_AGENT_URL=http://agent.example:8000", "VLLM_BASE_URL=http://base.example:8000")
    endpoints = [model.endpoints[0] for model in configured()[0].models.values()]
    assert endpoints == ["http://agent.example:8000", "http://base.example:8000", "http://base.example:8000"]


# mistakes


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("ROUTING_MODE", "fast", "'realtime' or 'standard'"),
        ("ROUTER_PORT", "http", "integer"),
        ("ROUTER_PORT", "0", "1"),
        ("ROUTER_PORT", "65536", "65535"),
        ("SESSION_TIMEOUT", "0", "1"),
        ("SESSION_TIMEOUT", "30m", "integer"),
        ("SESSION_TIMEOUT", "2592001", "2592000"),
        ("MEMORY_TURNS", "-1", "0"),
        ("MEMORY_TURNS", "201", "200"),
        ("MEMORY_BYTES", "1", "1024"),
        ("MAX_BODY_BYTES", "12MB", "integer"),
        ("MAX_QUERY_CHARS", "0", "1"),
        ("MAX_ATTACHMENTS", "65", "64"),
        ("MAX_SESSIONS", "0", "1"),
        ("BODY_TIMEOUT", "0", "0"),
        ("REDIS_TIMEOUT_MS", "0", "1"),
        ("CONFIDENCE_THRESHOLD", "35%", "number"),
        ("CONFIDENCE_THRESHOLD", "1.5", "1"),
        ("SWITCH_MARGIN", "-0.1", "0"),
        ("RETURN_MARGIN", "1.01", "1"),
        ("RETURN_MARGIN", "none", "number"),
        ("GUARD_THRESHOLD", "nan", "1"),
        ("CONFLICT_THRESHOLD", "-0.1", "0"),
        ("SHADOW_SHARE", "1.5", "1"),
        ("SHADOW_SHARE", "1%", "number"),
        ("LLM_CLASSIFIER_BELOW", "1.1", "1"),
        ("LLM_CLASSIFIER_TIMEOUT", "0", "0"),
        ("LLM_CLASSIFIER_TIMEOUT", "500ms", "number"),
        ("CLASSIFIER_QUEUE", "0", "1"),
        ("CLASSIFIER_TIMEOUT", "-1", "0"),
        ("CONNECT_TIMEOUT", "inf", "3600"),
        ("FIRST_BYTE_TIMEOUT", "4000", "3600"),
        ("BETWEEN_CHUNKS_TIMEOUT", "0", "0"),
        ("OPEN_TIMEOUT", "x", "number"),
        ("HEALTH_INTERVAL", "0", "0"),
        ("HEALTH_TIMEOUT", "never", "number"),
        ("LOAD_INTERVAL", "0", "0"),
        ("LOAD_INTERVAL", "1s", "number"),
        ("DNS_INTERVAL", "3601", "3600"),
        ("REPLICA_SLACK", "-1", "0"),
        ("RETRY_BUDGET", "1.1", "1"),
        ("RETRY_BUDGET", "20%", "number"),
        ("LOG_LEVEL", "loud", "debug, info, warning, error"),
    ],
)
def test_a_malformed_variable_names_itself_its_value_and_what_is_allowed(
    monkeypatch: Set, name: str, value: str, allowed: str
) -> None:
    message = refusal(monkeypatch, **{name: value})
    assert message.startswith(f"{name}: ")
    assert allowed in message.removeprefix(f"{name}: ")
    assert repr(value) in message


@pytest.mark.parametrize("value", ["http", "0", "65536"])
def test_a_malformed_port_is_told_under_the_name_it_was_given(monkeypatch: Set, value: str) -> None:
    assert refusal(monkeypatch, PORT=value).startswith("PORT: ")


def test_every_mistake_is_told_at_once(monkeypatch: Set) -> None:
    lines = refusal(monkeypatch, ROUTING_MODE="fast", MEMORY_TURNS="x", LOG_LEVEL="loud").splitlines()
    assert sorted(line.partition(":")[0] for line in lines) == ["LOG_LEVEL", "MEMORY_TURNS", "ROUTING_MODE"]


@pytest.mark.parametrize("url", [f"http://:{SECRET}@h", f"{SECRET}:6379", f"redis:/{SECRET}"])
def test_a_malformed_redis_url_says_what_is_allowed_and_not_its_password(monkeypatch: Set, url: str) -> None:
    message = refusal(monkeypatch, REDIS_URL=url)
    assert message.startswith("REDIS_URL: ")
    assert "redis://" in message
    assert SECRET not in message


@pytest.mark.parametrize(
    "url", [f"redis://:{SECRET}@h:port/0", f"redis://:{SECRET}@h:99999/0", f"redis://:{SECRET}@h/0?socket_timeout=soon"]
)
def test_a_redis_url_that_cannot_be_used_stops_the_start_with_its_name(monkeypatch: Set, url: str) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(ConfigurationError, match="REDIS_URL") as caught:
        open_store(load_settings())
    assert SECRET not in str(caught.value)


def test_a_secret_is_not_printed_among_the_mistakes_of_others(monkeypatch: Set) -> None:
    message = refusal(monkeypatch, API_KEY=SECRET, REDIS_URL=f"redis://:{SECRET}@h", PORT="x", MEMORY_TURNS="x")
    assert SECRET not in message


@pytest.mark.parametrize(("value", "rate"), [("0", 0), ("60", 60)])
def test_a_rate_limit_is_requests_a_minute_and_0_is_none(monkeypatch: Set, value: str, rate: int) -> None:
    monkeypatch.setenv("RATE_LIMIT_PER_MINUTE", value)
    assert load_settings().rate_limit_per_minute == rate
