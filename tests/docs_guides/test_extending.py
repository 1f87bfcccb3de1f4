"""The examples of docs/extending.md, as they stand there: written to files, named, and asked."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from smart_router.errors import ConfigurationError
from smart_router.registry import load_registry
from smart_router.sessions import open_store
from smart_router.settings import Settings
from smart_router.simulate import SimulatedModel, running
from tests.e2e.routers import Router, running_router

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
BLOCK = re.compile(r"^```(?:yaml|python)\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MODULES = ("acme_servers", "acme_classifier", "acme_store")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """All files of the page; its modules can be imported while the tests run."""
    place = tmp_path_factory.mktemp("extending")
    for name, text in BLOCK.findall(PAGE.read_text()):
        path = place / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    sys.path.insert(0, str(place))
    yield place
    sys.path.remove(str(place))
    for module in MODULES:
        sys.modules.pop(module, None)


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    models = {"AGENT_SERVER": "Qwen/Qwen2.5-7B-Instruct", "LAWYER_SERVER": "acme/contract-7b"}
    with (
        running(SimulatedModel(models["AGENT_SERVER"], "text", ttft_ms=0, tokens_per_second=0)) as agent,
        running(SimulatedModel(models["LAWYER_SERVER"], "text", ttft_ms=0, tokens_per_second=0)) as lawyer,
    ):
        yield {"AGENT_SERVER": agent, "LAWYER_SERVER": lawyer}


def a_registry(folder: Path, servers: dict[str, str], **more: str) -> Path:
    """The page's, with *servers* and with *more* in the stanza of the lawyer."""
    text = (folder / "registry.yaml").read_text()
    for name, url in servers.items():
        text = re.sub(r"\$\{" + name + r":-[^}]*\}", url, text)
    for name, value in more.items():
        text = text.replace(
            "    served_as: acme/contract-7b\n", f"    served_as: acme/contract-7b\n    {name}: {value}\n"
        )
    path = folder / f"registry-{len(more)}.yaml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def trained(folder: Path, servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """With the page's examples: the start trains."""
    registry = a_registry(folder, servers)
    with running_router(registry, classifier_dir=tmp_path_factory.mktemp("heads")) as router:
        yield router


@pytest.fixture(scope="module")
def extended(folder: Path, servers: dict[str, str]) -> Iterator[Router]:
    """With a backend, a classifier and a session store of others."""
    registry = a_registry(folder, servers, backend="acme_servers:AcmeUpstream")
    with running_router(
        registry, classifier="acme_classifier:Keywords", session_store="acme_store:AcmeStore", health_interval=0.2
    ) as router:
        yield router


def test_every_file_of_the_page_is_taken(folder: Path) -> None:
    assert {path.stem for path in folder.rglob("*.py")} == set(MODULES)
    assert {path.name for path in folder.rglob("*.yaml")} >= {"registry.yaml", "contracts.yaml", "general.yaml"}


def test_words_lead_to_a_use_case_of_ones_own(trained: Router) -> None:
    found = trained.answer("Is the liability clause of this lease valid?")
    assert (found["use_case"], found["selected_model"]) == ("contracts", "lawyer")
    assert trained.answer("Write a Python function to sort a list")["use_case"] == "general"


def test_a_client_may_name_it(trained: Router) -> None:
    chosen = trained.chatted("Hello there", model="contracts")
    assert (chosen.headers["x-route-use-case"], chosen.headers["x-route-model"]) == ("contracts", "lawyer")


def test_kinds_of_others_answer_decide_and_keep(extended: Router) -> None:
    first = extended.answer("Is this clause valid?", session_id="acme-1")
    assert (first["use_case"], first["selected_model"], first["reason"]) == ("contracts", "lawyer", "classified")
    stays = extended.answer("And if the seller goes bankrupt?", session_id="acme-1")
    assert (stays["use_case"], stays["bypass_used"]) == ("contracts", True)
    assert extended.session("acme-1")["request_count"] == 2


def test_kinds_of_others_are_healthy(extended: Router) -> None:
    health = extended.get("/health")
    assert (health["status"], health["classifier"]) == ("healthy", {"kind": "keywords", "trouble": ""})


@pytest.mark.parametrize(
    ("backend", "says"),
    [
        ("acme_nowhere:AcmeUpstream", "models[1].backend: acme_nowhere:AcmeUpstream: the module cannot be imported"),
        ("acme_servers:Missing", "models[1].backend: acme_servers:Missing: the module has no class or function"),
        ("acme servers:x", "models[1].backend: 'acme servers:x' is not of the form module:Class"),
        ("tgi", "or module:Class for a kind of your own"),
    ],
)
def test_a_backend_that_cannot_be_had_is_named_with_its_place(
    folder: Path, servers: dict[str, str], backend: str, says: str
) -> None:
    with pytest.raises(ConfigurationError) as told:
        load_registry(a_registry(folder, servers, backend=backend), {})
    assert says in str(told.value)


def test_a_store_or_a_classifier_that_cannot_be_had_is_named(folder: Path, servers: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"^SESSION_STORE: acme_nowhere:Store: "):
        open_store(Settings(_env_file=None, session_store="acme_nowhere:Store"))
    with (
        pytest.raises(ConfigurationError, match=r"^CLASSIFIER: acme_nowhere:Keywords: "),
        running_router(a_registry(folder, servers), classifier="acme_nowhere:Keywords"),
    ):
        pass
