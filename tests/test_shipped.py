"""What ships agrees with what it says: metrics, README, command line, the commented registry."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer.main
import yaml
from prometheus_client.parser import text_string_to_metric_families

from smart_router.cli import app
from smart_router.observe.metrics import Metrics

ROOT = Path(__file__).parents[1]
# The names that users rely on.
PROMISED = {
    "requests_total": {"use_case", "model", "reason", "outcome"},
    "bypass_total": set(),
    "context_changes_total": {"from", "to"},
    "sessions_created_total": set(),
    "routing_seconds": {"path"},
    "overhead_seconds": set(),
    "time_to_first_token_seconds": {"model"},
    "inference_seconds": {"model"},
    "tokens_total": {"model", "kind"},
    "in_flight": {"model", "replica"},
    "replica_healthy": {"model", "replica"},
    "upstream_failures_total": {"model", "kind"},
    "retries_total": set(),
    "fallbacks_total": {"from", "to"},
    "redis_seconds": set(),
    "redis_degraded": set(),
    "classifier_confidence": set(),
    "limited_total": {"reason"},
    "shadow_disagreement_total": set(),
    "model_state": {"model", "state"},
    "model_swap_seconds": {"model"},
    "model_wait_seconds": {"model"},
    "model_wakes_total": {"model", "outcome"},
    "model_evictions_total": {"model", "outcome"},
    "predicted_wakes_total": {"model", "outcome"},
    "group_residents": {"group"},
    "group_max_resident": {"group"},
}


def commands() -> Iterator[tuple[str, click.Command]]:
    def below(path: str, command: object) -> Iterator[tuple[str, click.Command]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield path, command  # type: ignore[misc]  # typer's own classes are not click's for the type checker
            return
        for name, found in inner.items():
            yield from below(f"{path} {name}", found)

    yield from below("smart-router", typer.main.get_command(app))


COMMANDS = list(commands())


def metrics() -> dict[str, set[str]]:
    """Name, as a dashboard would ask for it -> labels, of all that we count."""
    found = {}
    for metric in vars(Metrics()).values():
        if hasattr(metric, "_labelnames"):
            name = metric._name + ("_total" if metric._type == "counter" else "")
            found[name] = set(metric._labelnames)
    return found


def test_every_metric_has_our_prefix() -> None:
    assert [name for name in metrics() if not name.startswith("smart_router_")] == []


@pytest.mark.parametrize("name", PROMISED)
def test_a_promised_metric_is_there_with_its_labels(name: str) -> None:
    assert metrics().get(f"smart_router_{name}") == PROMISED[name]


def test_the_exposition_can_be_read() -> None:
    families = list(text_string_to_metric_families(Metrics().exposition()[0].decode()))
    assert all(family.documentation for family in families)


# README and Makefile


def makefile_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_make_target_of_the_readme_exists() -> None:
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", _code((ROOT / "README.md").read_text())))
    assert named >= {"demo"}, "the README's first screen gets a newcomer to an answer"
    assert named - makefile_targets() == set()


def _code(markdown: str) -> str:
    """Only what stands in code: prose may make sense, too."""
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", markdown, re.DOTALL))


def test_every_command_of_the_readme_exists() -> None:
    names = {name for path, _ in COMMANDS for name in path.split(" ")[1:2]}
    named = set(re.findall(r"smart-router ([a-z]+)", _code((ROOT / "README.md").read_text())))
    assert named - names == set()


def test_every_phony_target_says_what_it_is_for() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = set(re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)[0].split()) - {"clean"}
    assert {name for name in phony if not re.search(rf"^{name}:.*## \w", text, re.MULTILINE)} == set()


# the command line


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_a_command_has_help_with_an_example_of_itself(path: str, command: click.Command) -> None:
    text = " ".join((command.help or "").split())
    assert text, f"{path} has no help"
    assert f"Example: {path}" in text


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_the_options_of_an_example_exist(path: str, command: click.Command) -> None:
    example = " ".join((command.help or "").split()).partition("Example: ")[2]
    known = {option for parameter in command.params for option in parameter.opts}
    assert set(re.findall(r"--[a-z-]+", example)) - known == set()


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_every_option_is_explained(path: str, command: click.Command) -> None:
    assert [parameter.name for parameter in command.params if not getattr(parameter, "help", None)] == []


# the registry


def test_every_key_of_the_first_model_is_commented() -> None:
    text = (ROOT / "config" / "model_registry.yaml").read_text()
    first = "  - id:" + text.split("  - id:")[1]
    lines = [line for line in first.splitlines() if re.match(r"^  (- |  )[a-z_]+:", line)]
    keys = yaml.safe_load(text)["models"][0]
    assert len(lines) == len(keys)
    assert [line.strip() for line in lines if not re.search(r"\s# \w", line)] == []


def test_every_key_that_a_model_may_have_is_shown_by_the_first() -> None:
    from smart_router.registry import Model

    text = (ROOT / "config" / "model_registry.yaml").read_text()
    commented = re.findall(r"^    # ([a-z_]+):", text.split("  - id:")[1], re.MULTILINE)
    assert set(yaml.safe_load(text)["models"][0]) | set(commented) == set(Model.model_fields)


def test_the_registry_and_its_examples_are_in_the_package() -> None:
    assert '"config" = "smart_router/config"' in (ROOT / "pyproject.toml").read_text()
