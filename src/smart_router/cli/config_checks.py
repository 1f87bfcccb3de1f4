"""What would keep a router from starting, and what it would start with although it is hardly meant so."""

import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple, TypeVar

from smart_router.access.keyfile import read_keys
from smart_router.access.keyring import KeyRing
from smart_router.classify.base import Example
from smart_router.classify.conversations import load_conversations
from smart_router.classify.examples import load_examples, load_out_of_scope
from smart_router.classify.open import FEW
from smart_router.classify.train import check as check_examples
from smart_router.cli.config_sources import dotenv, names_of, registry_path
from smart_router.cli.serve import is_loopback
from smart_router.decide.arenas import Tenant, preloaded
from smart_router.errors import ConfigurationError
from smart_router.lifecycle.roster import refuse_processes
from smart_router.observe.logs import configure_logs
from smart_router.observe.tracing import check_variables
from smart_router.registry import Registry, load_registry
from smart_router.second_opinion import open_second_opinion
from smart_router.sessions import open_agreement
from smart_router.settings import DOTENV, Settings, environment, load_settings
from smart_router.upstream.fleet import Fleet

SHORT_KEY = 16  # characters; fewer can be guessed
ALIKE = 0.84  # of names, 0 to 1: meant is the other


T = TypeVar("T")


class Finding(NamedTuple):
    """*place*: a variable, or a file and where in it."""

    place: str
    message: str


@dataclass
class Found:
    registry: Path
    summary: str = ""
    problems: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)

    def trying(self, check: Callable[[], T], file: Path | None = None) -> T | None:
        """What it gives; else each line of what is wrong is a problem, of *file* where there is one."""
        try:
            return check()
        except ConfigurationError as exc:
            self.problems += [_finding(line, file) for line in str(exc).splitlines()]
            return None


def checked(host: str, workers: int) -> Found:
    """As much as can be: what is wrong in one place does not keep others from being looked at."""
    configure_logs("error")  # what parts would log on being made is told here
    found = Found(registry_path())
    settings = found.trying(load_settings)
    registry = found.trying(lambda: load_registry(found.registry, environment()), found.registry)
    if registry is not None:
        _examples(found, registry)
    if settings is not None:
        _parts(found, settings, registry, workers)
        _who_comes_in(found, settings, host)
        found.warnings += _keys(settings)
    if settings is not None and registry is not None:
        found.warnings += _no_room(settings, registry)
    found.warnings += [*_misspelt(), *_two_ports()]
    found.summary = _summary(found, registry)
    return found


def _examples(found: Found, registry: Registry) -> None:
    """File by file, as each reader stops at its first mistake."""
    examples: list[Example] = []
    before = len(found.problems)
    for use_case in registry.use_cases.values():
        alone = replace(registry, use_cases={use_case.id: use_case})
        path = registry.examples_path(use_case)
        found.trying(lambda alone=alone: examples.extend(load_examples(alone)), path)  # type: ignore[misc]
    for load, name in ((load_conversations, registry.conversations), (load_out_of_scope, registry.out_of_scope)):
        found.trying(lambda load=load: load(registry), registry.beside(name) if name else None)  # type: ignore[misc]
    if len(found.problems) > before:
        return
    found.trying(lambda: check_examples(examples, registry.taught), found.registry)
    counts = Counter(example.use_case for example in examples)
    few = [f"{id} has {counts[id]}" for id in registry.taught if counts[id] < FEW]
    if few and len(found.problems) == before:
        message = f"few examples: {', '.join(few)}; with {FEW} or more, more queries would be understood"
        found.warnings.append(Finding(f"{found.registry}: use_cases", message))


def _parts(found: Found, settings: Settings, registry: Registry | None, workers: int) -> None:
    found.trying(lambda: open_agreement(settings))  # REDIS_URL
    found.trying(lambda: check_variables(environment()))
    if workers > 1 and not settings.redis_url:
        found.problems.append(Finding("REDIS_URL", "several workers share sessions through Redis; set it"))
    path = settings.api_keys_file
    readable = path is None or found.trying(lambda: read_keys(path), path) is not None
    if registry is None:
        return
    if readable:
        found.trying(lambda: KeyRing(settings, registry.use_cases, registry.models), path)
    found.trying(lambda: open_second_opinion(Fleet(registry, settings), registry, settings))
    if workers > 1:
        found.trying(lambda: refuse_processes(registry), found.registry)


def _who_comes_in(found: Found, settings: Settings, host: str) -> None:
    if settings.api_key is not None or settings.api_keys_file is not None or is_loopback(host):
        return
    open_to_all = f"without a key, anybody who reaches {host} can use the router"
    if settings.allow_open:
        found.warnings.append(Finding("ALLOW_OPEN", f"{open_to_all}; set API_KEY unless that is what you want"))
    else:
        advice = "set API_KEY or API_KEYS_FILE, or ALLOW_OPEN=true if that is what you want"
        found.problems.append(Finding("API_KEY", f"{open_to_all}; {advice}"))


def _keys(settings: Settings) -> Iterator[Finding]:
    if settings.api_key is not None and len(settings.api_key.get_secret_value()) < SHORT_KEY:
        yield Finding(
            "API_KEY", f"a key of fewer than {SHORT_KEY} characters can be guessed; `openssl rand -hex 32` prints one"
        )
    path = settings.api_keys_file
    if path is None or not path.exists():
        return
    if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH | stat.S_IWGRP | stat.S_IWOTH):
        yield Finding(str(path), f"others on this machine can read it; `chmod 600 {path}`")
    try:
        keys = read_keys(path)
    except ConfigurationError:
        return
    if not keys and settings.api_key is None:
        yield Finding(str(path), "there is no key in it: nobody can come in; `smart-router keys create` makes one")


def _no_room(settings: Settings, registry: Registry) -> Iterator[Finding]:
    """In realtime, who is not preloaded is never awake."""
    if settings.routing_mode != "realtime":
        return
    tenants = [Tenant(model.id, model.lane, model.managed) for model in registry.models.values()]
    most = {name: group.max_resident for name, group in registry.groups.items()}
    there = preloaded(tenants, most, settings.max_concurrent_models)
    if left_out := [tenant.model for tenant in tenants if tenant.managed and tenant.model not in there]:
        yield Finding(
            "ROUTING_MODE",
            f"in realtime there is no room for {', '.join(left_out)}: never awake, as others are and stay so; write "
            "standard to have models take turns, or raise MAX_CONCURRENT_MODELS or the groups' max_resident",
        )


def _misspelt() -> Iterator[Finding]:
    """In `.env`, where other programs find their variables, too: only what is nearly one of ours."""
    known = [name for one in Settings.model_fields for name in names_of(one)]
    for name in dotenv():
        meant = get_close_matches(name.upper(), known, 1, ALIKE)
        if meant and name.upper() not in known:
            yield Finding(f"{DOTENV}: {name}", f"nothing reads it; is {meant[0]} meant?")


def _two_ports() -> Iterator[Finding]:
    first, second = (environment().get(name) for name in names_of("router_port"))
    if first and second and first != second:
        yield Finding("ROUTER_PORT", f"it is {first} and PORT is {second}: the first counts; unset one of them")


def _finding(line: str, file: Path | None) -> Finding:
    """`file: place: what is wrong` taken apart; what has no place is one of the file, or of nothing in particular."""
    before = f"{file}: " if file is not None else ""
    place, colon, message = line.removeprefix(before).partition(": ")
    if not colon or " " in place:
        return Finding(before.removesuffix(": "), line.removeprefix(before))
    return Finding(before + place, message)


def _summary(found: Found, registry: Registry | None) -> str:
    counted = "" if registry is None else f"{len(registry.use_cases)} use cases, {len(registry.models)} models; "
    problems = f"{len(found.problems)} problem{'s' * (len(found.problems) != 1)}" if found.problems else "no problems"
    warnings = f"{len(found.warnings)} warning{'s' * (len(found.warnings) != 1)}" if found.warnings else ""
    return counted + ", ".join(part for part in (problems, warnings) if part)
