"""The registry: the shipped file loads, and every mistake is told with its place and what would be right."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from smart_router.errors import ConfigurationError
from smart_router.registry import Policy, Registry, changes, default_registry_path, load_registry
from tests.fakes import a_model, a_registry, a_use_case

SHIPPED = Path(__file__).parents[1] / "config" / "model_registry.yaml"
USE_CASES = ["agent", "multimodal", "video", "stt", "tts", "avatar"]

Data = dict[str, Any]


def a_file() -> Data:
    """A small registry without a mistake."""
    return {
        "version": 1,
        "defaults": {"use_case": "agent"},
        "models": [
            {"id": "writer", "endpoints": ["http://a:8000", "http://b:8000"], "group": "gpu0"},
            {"id": "seer", "endpoints": ["https://c"], "accepts": ["text", "image"]},
        ],
        "groups": {"gpu0": {"max_resident": 2}},
        "use_cases": [
            {"id": "agent", "models": ["writer"], "examples": "agent.yaml"},
            {"id": "multimodal", "models": ["seer"], "modalities": ["text", "image"]},
        ],
    }


def write(folder: Path, text: str) -> Path:
    (folder / "agent.yaml").write_text("en: [hello]\n")
    path = folder / "registry.yaml"
    path.write_text(text)
    return path


def load(folder: Path, data: object, environ: Mapping[str, str] | None = None) -> Registry:
    return load_registry(write(folder, yaml.safe_dump(data)), environ or {})


def refusal(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> str:
    path = write(folder, text)
    with pytest.raises(ConfigurationError) as caught:
        load_registry(path, environ or {})
    message = str(caught.value)
    assert all(line.startswith(f"{path}: ") for line in message.splitlines())
    return message.replace(f"{path}: ", "")


# what is right


def test_the_shipped_file_loads() -> None:
    registry = load_registry(SHIPPED, {})
    assert list(registry.use_cases) == USE_CASES
    served = {name: use_case.models for name, use_case in registry.use_cases.items()}
    seer, hearer = "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2-Audio-7B"
    assert served["agent"] == ("Qwen/Qwen2.5-7B-Instruct",)
    assert served["avatar"] == served["multimodal"] == served["video"] == (seer,)
    assert served["stt"] == served["tts"] == (hearer,)


def test_the_shipped_ports_are_those_of_the_contract() -> None:
    endpoints = [model.endpoints for model in load_registry(SHIPPED, {}).models.values()]
    assert endpoints == [("http://localhost:8000",), ("http://localhost:8002",), ("http://localhost:8003",)]


def test_one_variable_names_one_server_for_all_that_name_no_other() -> None:
    environ = {"VLLM_BASE_URL": "http://one:9000", "VLLM_AUDIO_URL": "http://ears:9003"}
    endpoints = [model.endpoints[0] for model in load_registry(SHIPPED, environ).models.values()]
    assert endpoints == ["http://one:9000", "http://one:9000", "http://ears:9003"]


def test_the_default_registry_is_the_one_here_then_the_one_of_the_source_tree(bare_environment: Path) -> None:
    assert default_registry_path().samefile(SHIPPED)
    (bare_environment / "config").mkdir()
    (bare_environment / "config" / "model_registry.yaml").touch()
    assert default_registry_path() == Path("config/model_registry.yaml")


def test_files_order_and_defaults_are_kept(tmp_path: Path) -> None:
    registry = load(tmp_path, a_file())
    assert list(registry.models) == ["writer", "seer"]
    writer = registry.models["writer"]
    assert (writer.served_name, writer.lane, writer.api, writer.accepts) == ("writer", "gpu0", "chat", ("text",))
    assert registry.models["seer"].lane == "seer"
    assert (registry.defaults.max_tokens, registry.defaults.temperature) == (100, 0.7)


def test_examples_stand_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, yaml.safe_dump(a_file()))
    monkeypatch.chdir(tmp_path)
    registry = load_registry(Path("registry.yaml"), {})
    monkeypatch.chdir("/")
    path = registry.examples_path(registry.use_cases["agent"])
    assert path is not None
    assert path.is_file()
    assert registry.examples_path(registry.use_cases["multimodal"]) is None


def test_a_use_case_may_have_a_threshold_of_its_own(tmp_path: Path) -> None:
    data = a_file()
    data["use_cases"][1]["threshold"] = 0
    found = load(tmp_path, data).use_cases
    assert (found["agent"].threshold, found["multimodal"].threshold) == (None, 0.0)


def test_a_policy_is_for_all_use_cases_or_for_one(tmp_path: Path) -> None:
    data = a_file()
    data["defaults"]["policy"] = {"max_choices": 2}
    data["use_cases"][1]["policy"] = {"max_tokens": 50, "deny": [{"pattern": "(?i)a b", "message": "Not that."}]}
    registry = load(tmp_path, data)
    assert (registry.defaults.policy.max_choices, registry.defaults.policy.max_tokens) == (2, None)
    assert registry.use_cases["agent"].policy == Policy()
    policy = registry.use_cases["multimodal"].policy
    assert (policy.max_tokens, policy.deny[0].pattern, policy.deny[0].message) == (50, "(?i)a b", "Not that.")


def test_conversations_and_what_is_out_of_scope_stand_beside_the_file(tmp_path: Path) -> None:
    assert (load(tmp_path, a_file()).conversations, load(tmp_path, a_file()).out_of_scope) == (None, None)
    for name in ("talks.yaml", "none.yaml"):
        (tmp_path / name).touch()
    registry = load(tmp_path, a_file() | {"conversations": "talks.yaml", "out_of_scope": "none.yaml"})
    assert (registry.conversations, registry.out_of_scope) == ("talks.yaml", "none.yaml")
    assert registry.beside("talks.yaml").samefile(tmp_path / "talks.yaml")


def test_words_lead_only_to_use_cases_with_examples(tmp_path: Path) -> None:
    assert load(tmp_path, a_file()).taught == ("agent",)


# who may answer


def test_candidates_are_a_use_cases_own_models_then_their_fallbacks_each_once() -> None:
    registry = a_registry(
        a_model("a", fallbacks=["c", "b"]),
        a_model("b", fallbacks=["c"]),
        a_model("c"),
        use_cases=[a_use_case("agent", "a", "b")],
    )
    assert [model.id for model in registry.candidates("agent")] == ["a", "b", "c"]


def test_candidates_take_all_that_is_attached() -> None:
    registry = a_registry(
        a_model("blind", fallbacks=["seer"]),
        a_model("seer", accepts=["text", "image"]),
        use_cases=[a_use_case("agent", "blind")],
    )
    assert [model.id for model in registry.candidates("agent", frozenset({"image"}))] == ["seer"]
    assert registry.candidates("agent", frozenset({"image", "audio"})) == ()


# variables


@pytest.mark.parametrize(
    ("text", "environ", "found"),
    [
        ("${A}", {"A": "x"}, "x"),
        ("${A:-y}", {"A": "x"}, "x"),
        ("${A:-y}", {}, "y"),
        ("${A:-y}", {"A": ""}, "y"),
        ("${A:-}", {}, ""),
        ("${A:-${B:-z}}", {}, "z"),
        ("${A:-${B:-z}}", {"B": "b"}, "b"),
        ("${A:-${B:-z}}", {"A": "a", "B": "b"}, "a"),
        ("${A:-${B:-${C:-deep}}}", {}, "deep"),
        ("${A} and ${B}", {"A": "1", "B": "2"}, "1 and 2"),
        ("costs $5", {}, "costs $5"),
        ("${A:-http://h:1/p?x={y}}", {"A": "v"}, None),
    ],
)
def test_variables_are_filled_in(tmp_path: Path, text: str, environ: Mapping[str, str], found: str | None) -> None:
    data = a_file()
    data["use_cases"][0]["description"] = text
    if found is None:
        assert "use_cases[0].description" in refusal(tmp_path, yaml.safe_dump(data), environ)
    else:
        assert load(tmp_path, data, environ).use_cases["agent"].description == found


def test_an_unset_variable_is_named_with_its_place_and_the_way_out(tmp_path: Path) -> None:
    data = a_file()
    data["models"][1]["endpoints"] = ["${SEER_URL}"]
    message = refusal(tmp_path, yaml.safe_dump(data))
    assert message == "models[1].endpoints[0]: SEER_URL is not set; set it or write ${SEER_URL:-default}"


@pytest.mark.parametrize("text", ["${}", "${A", "${A:-${B}", "${A-b}", "${1A}", "${A:=b}"])
def test_a_malformed_variable_is_shown_with_the_right_form(tmp_path: Path, text: str) -> None:
    data = a_file()
    data["defaults"]["use_case"] = text
    message = refusal(tmp_path, yaml.safe_dump(data), {"A": "agent", "B": "agent"})
    assert message.startswith("defaults.use_case: ")
    assert "${NAME}" in message


def test_what_a_variable_holds_is_not_looked_into(tmp_path: Path) -> None:
    data = a_file()
    data["use_cases"][0]["description"] = "${A}"
    found = load(tmp_path, data, {"A": "${B}", "B": "secret"})
    assert found.use_cases["agent"].description == "${B}"


def test_numbers_may_come_from_variables(tmp_path: Path) -> None:
    data = a_file()
    data["models"][0]["max_in_flight"] = "${MOST:-7}"
    assert load(tmp_path, data).models["writer"].max_in_flight == 7


# mistakes

Mistake = Callable[[Data], object]
MISTAKES: dict[str, tuple[Mistake, str, str]] = {
    # name: what is done to the file, the place in the message, what would be right
    "unknown key at the top": (lambda f: f.update(model=[]), "model: unknown key", "models"),
    "unknown key of a model": (
        lambda f: f["models"][0].update(endpoint="x"),
        "models[0].endpoint: unknown key",
        "endpoints",
    ),
    "unknown key of a use case": (
        lambda f: f["use_cases"][1].update(model="x"),
        "use_cases[1].model: unknown key",
        "modalities",
    ),
    "unknown key of the defaults": (
        lambda f: f["defaults"].update(tokens=1),
        "defaults.tokens: unknown key",
        "max_tokens",
    ),
    "unknown key of a group": (
        lambda f: f["groups"]["gpu0"].update(most=1),
        "groups.gpu0.most: unknown key",
        "max_resident",
    ),
    "unknown key of a process": (
        lambda f: f["models"][0].update(process={"comand": ["x"]}),
        "models[0].process.comand: unknown key",
        "command, gpu_memory_fraction, environment, log",
    ),
    "unknown key of an adapter": (
        lambda f: f["models"][0].update(lora={"path": "/a", "base": "seer", "rank": 8}),
        "models[0].lora.rank: unknown key",
        "path, base",
    ),
    "no version": (lambda f: f.pop("version"), "version: required and missing", ""),
    "another version": (lambda f: f.update(version=2), "version: ", "1"),
    "no models": (lambda f: f.pop("models"), "models: required and missing", ""),
    "empty models": (lambda f: f.update(models=[]), "models: ", "at least 1"),
    "no use cases": (lambda f: f.pop("use_cases"), "use_cases: required and missing", ""),
    "no id": (lambda f: f["models"][1].pop("id"), "models[1].id: required and missing", ""),
    "no endpoints": (lambda f: f["models"][0].pop("endpoints"), "models[0].endpoints: required and missing", ""),
    "empty endpoints": (lambda f: f["models"][0].update(endpoints=[]), "models[0].endpoints: ", "at least 1"),
    "a null": (lambda f: f["models"][0].update(api=None), "models[0].api: ", "'chat'"),
    "endpoints not a list": (lambda f: f["models"][0].update(endpoints="http://a:8000"), "models[0].endpoints: ", ""),
    "a model that is a text": (lambda f: f["models"].append("writer"), "models[2]: ", ""),
    "a wrong type": (lambda f: f["models"][0].update(max_in_flight="many"), "models[0].max_in_flight: ", "integer"),
    "a fraction": (lambda f: f["models"][0].update(performance=9.5), "models[0].performance: ", "integer"),
    "too little": (lambda f: f["models"][0].update(max_in_flight=0), "models[0].max_in_flight: ", "1"),
    "too much": (lambda f: f["models"][0].update(performance=101), "models[0].performance: ", "100"),
    "too warm": (lambda f: f["defaults"].update(temperature=2.1), "defaults.temperature: ", "2"),
    "no tokens": (lambda f: f["defaults"].update(max_tokens=0), "defaults.max_tokens: ", "1"),
    "an unknown backend": (lambda f: f["models"][0].update(backend="vlm"), "models[0].backend: ", "'vllm'"),
    "ollama's lifecycle elsewhere": (
        lambda f: f["models"][0].update(lifecycle="ollama"),
        "models[0].lifecycle: ollama needs backend: ollama",
        "it is vllm",
    ),
    "ollama that speaks": (
        lambda f: f["models"][1].update(backend="ollama", api="speech"),
        "models[1].api: ",
        "write chat",
    ),
    "ollama that hears": (
        lambda f: f["models"][1].update(backend="ollama", accepts=["text", "audio", "video"]),
        "models[1].accepts: ",
        "take out audio, video",
    ),
    "an unknown api": (lambda f: f["models"][0].update(api="tts"), "models[0].api: ", "'speech'"),
    "an unknown kind": (lambda f: f["models"][0].update(accepts=["pdf"]), "models[0].accepts[0]: ", "'image'"),
    "an unknown modality": (
        lambda f: f["use_cases"][0].update(modalities=["text", "sound"]),
        "use_cases[0].modalities[1]: ",
        "'audio'",
    ),
    "an unknown lifecycle": (lambda f: f["models"][0].update(lifecycle="never"), "models[0].lifecycle: ", "'always'"),
    "an id with a space": (lambda f: f["use_cases"][1].update(id="my case"), "use_cases[1].id: ", "pattern"),
    "an upper case use case": (lambda f: f["use_cases"][1].update(id="Agent"), "use_cases[1].id: ", "pattern"),
    "an empty id": (lambda f: f["models"][1].update(id=""), "models[1].id: ", "at least 1"),
    "an unknown default": (
        lambda f: f["defaults"].update(use_case="agnt"),
        'defaults.use_case: "agnt" is not among the use cases: agent, multimodal',
        'did you mean "agent"?',
    ),
    "an unknown model": (
        lambda f: f["use_cases"][1].update(models=["seer", "writr"]),
        'use_cases[1].models[1]: "writr" is not among the models: writer, seer',
        'did you mean "writer"?',
    ),
    "an unknown fallback": (
        lambda f: f["models"][0].update(fallbacks=["sear"]),
        'models[0].fallbacks[0]: "sear" is not among the models',
        'did you mean "seer"?',
    ),
    "an unknown group": (
        lambda f: f["models"][0].update(group="gpu1"),
        'models[0].group: "gpu1" is not among the groups',
        'did you mean "gpu0"?',
    ),
    "nothing like it": (
        lambda f: f["use_cases"][0].update(models=["xyz"]),
        'use_cases[0].models[0]: "xyz" is not among the models: writer, seer',
        "",
    ),
    "a model twice": (
        lambda f: f["models"].append({"id": "writer", "endpoints": ["http://c:1"]}),
        'models[2].id: "writer" is already the id of models[0]',
        "",
    ),
    "a use case twice": (
        lambda f: f["use_cases"].append({"id": "agent", "models": ["writer"]}),
        'use_cases[2].id: "agent" is already the id of use_cases[0]',
        "",
    ),
    "no examples file": (
        lambda f: f["use_cases"][0].update(examples="examples/agent.yaml"),
        "use_cases[0].examples: no file ",
        "leave the key out",
    ),
    "no conversations file": (
        lambda f: f.update(conversations="talks.yaml"),
        "conversations: no file ",
        "leave the key out: the classifier learns without",
    ),
    "no out-of-scope file": (
        lambda f: f.update(out_of_scope="examples/none.yaml"),
        "out_of_scope: no file ",
        "leave the key out",
    ),
    "a folder of conversations": (lambda f: f.update(conversations="."), "conversations: no file ", ""),
    "conversations in a list": (lambda f: f.update(conversations=["a.yaml"]), "conversations: ", "string"),
    "a threshold beyond certainty": (
        lambda f: f["use_cases"][1].update(threshold=1.5),
        "use_cases[1].threshold: ",
        "less than or equal to 1",
    ),
    "a negative threshold": (
        lambda f: f["use_cases"][1].update(threshold=-0.1),
        "use_cases[1].threshold: ",
        "greater than or equal to 0",
    ),
    "unknown key of a policy": (
        lambda f: f["use_cases"][1].update(policy={"max_token": 5}),
        "use_cases[1].policy.max_token: unknown key",
        "max_tokens, max_choices, deny",
    ),
    "unknown key of everybody's policy": (
        lambda f: f["defaults"].update(policy={"n": 5}),
        "defaults.policy.n: unknown key",
        "max_choices",
    ),
    "unknown key of a pattern": (
        lambda f: f["defaults"].update(policy={"deny": [{"pattern": "a", "message": "b", "text": "c"}]}),
        "defaults.policy.deny[0].text: unknown key",
        "pattern, message",
    ),
    "a wrong pattern": (
        lambda f: f["use_cases"][0].update(
            policy={"deny": [{"pattern": "a", "message": "b"}, {"pattern": "(", "message": "b"}]}
        ),
        "use_cases[0].policy.deny[1].pattern: missing ): (",
        "RE2",
    ),
    "a pattern that looks ahead": (
        lambda f: f["defaults"].update(policy={"deny": [{"pattern": "(?!a)", "message": "b"}]}),
        "defaults.policy.deny[0].pattern: invalid perl operator: (?!",
        "RE2",
    ),
    "a pattern that matches everything": (
        lambda f: f["defaults"].update(policy={"deny": [{"pattern": "", "message": "b"}]}),
        "defaults.policy.deny[0].pattern: ",
        "at least 1",
    ),
    "a pattern without a message": (
        lambda f: f["defaults"].update(policy={"deny": [{"pattern": "a"}]}),
        "defaults.policy.deny[0].message: required and missing",
        "",
    ),
    "a pattern by itself": (lambda f: f["defaults"].update(policy={"deny": ["a"]}), "defaults.policy.deny[0]: ", ""),
    "a cap of nothing": (
        lambda f: f["use_cases"][0].update(policy={"max_tokens": 0}),
        "use_cases[0].policy.max_tokens: ",
        "1",
    ),
    "a cap in words": (
        lambda f: f["defaults"].update(policy={"max_choices": "few"}),
        "defaults.policy.max_choices: ",
        "integer",
    ),
    "a threshold in words": (
        lambda f: f["use_cases"][1].update(threshold="high"),
        "use_cases[1].threshold: ",
        "number",
    ),
    "a folder of examples": (lambda f: f["use_cases"][0].update(examples="."), "use_cases[0].examples: ", ""),
}


@pytest.mark.parametrize(("mistake", "place", "right"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_place_and_what_would_be_right(
    tmp_path: Path, mistake: Mistake, place: str, right: str
) -> None:
    data = a_file()
    mistake(data)
    message = refusal(tmp_path, yaml.safe_dump(data))
    assert message.startswith(place)
    assert right in message


# what comes and goes


def with_model(**more: Any) -> Data:
    """The small registry, and one more model, alone in its group."""
    data = a_file()
    data["models"].append({"id": "third", "endpoints": ["http://localhost:8000"], "backend": "vllm"} | more)
    return data


def an_adapter(**changed: Any) -> Data:
    given = {"lifecycle": "lora", "lora": {"path": "/adapters/x", "base": "seer"}, "endpoints": ["https://c"]}
    return with_model(**given | changed)


@pytest.mark.parametrize(
    "data",
    [
        with_model(lifecycle="sleep"),
        with_model(lifecycle="sleep", sleep_level=2),
        with_model(lifecycle="ollama", backend="ollama"),
        with_model(lifecycle="process"),
        with_model(lifecycle="process", process={"command": ["serve"], "environment": {"ANY": "thing"}}),
        with_model(lifecycle="process", endpoints=["http://[::1]:8000"]),
        with_model(lifecycle="sleep", process={"gpu_memory_fraction": 0.4}),
        an_adapter(),
        an_adapter(lora={"path": "/adapters/x", "base": "writer"}, endpoints=["http://b:8000", "http://a:8000"]),
        with_model(lifecycle="sleep", group="gpu0"),
        with_model(sleep_level=1, lifecycle="sleep", process=None, lora=None),
    ],
)
def test_a_model_may_come_and_go(tmp_path: Path, data: Data) -> None:
    assert load(tmp_path, data).models["third"].managed


@pytest.mark.parametrize(
    ("data", "mistake"),
    [
        (
            with_model(
                lifecycle=kind, backend=given, **({"lora": {"path": "/a", "base": "seer"}} if kind == "lora" else {})
            ),
            f"models[2].lifecycle: {kind} needs backend: {needed} (it is {given}); or write always",
        )
        for kind, given, needed in (
            ("sleep", "ollama", "vllm"),
            ("sleep", "openai", "vllm"),
            ("process", "ollama", "vllm"),
            ("lora", "openai", "vllm"),
            ("ollama", "vllm", "ollama"),
        )
    ],
)
def test_a_lifecycle_needs_its_backend(tmp_path: Path, data: Data, mistake: str) -> None:
    assert refusal(tmp_path, yaml.safe_dump(data)).splitlines()[0] == mistake


@pytest.mark.parametrize(
    ("more", "mistake"),
    [
        (
            {"sleep_level": 2},
            "sleep_level: only for lifecycle: sleep (it is always); write that, or leave sleep_level out",
        ),
        (
            {"sleep_level": 1, "lifecycle": "process"},
            "sleep_level: only for lifecycle: sleep (it is process); write that, or leave sleep_level out",
        ),
        (
            {"process": {}, "lifecycle": "ollama", "backend": "ollama"},
            "process: only for lifecycle: process or sleep or always (it is ollama); write that, or leave process out",
        ),
        ({"process": {}, "backend": "openai"}, "process: only for backend: vllm (it is openai); leave it out"),
        (
            {"lora": {"path": "/a", "base": "seer"}, "endpoints": ["https://c"]},
            "lora: only for lifecycle: lora (it is always); write that, or leave lora out",
        ),
        ({"lifecycle": "lora"}, "lora: required where lifecycle is lora; write lora: {path: /folder, base: id}"),
    ],
)
def test_what_belongs_to_another_lifecycle_is_refused(tmp_path: Path, more: Data, mistake: str) -> None:
    assert refusal(tmp_path, yaml.safe_dump(with_model(**more))) == f"models[2].{mistake}"


def test_an_adapter_needs_a_base_of_the_registry(tmp_path: Path) -> None:
    data = an_adapter(lora={"path": "/adapters/x", "base": "sear"})
    assert refusal(tmp_path, yaml.safe_dump(data)) == (
        'models[2].lora.base: "sear" is not among the models: writer, seer, third; did you mean "seer"?'
    )


def test_an_adapter_is_no_base(tmp_path: Path) -> None:
    data = an_adapter()
    data["models"].append(data["models"][2] | {"id": "fourth", "lora": {"path": "/adapters/y", "base": "third"}})
    assert refusal(tmp_path, yaml.safe_dump(data)) == (
        'models[3].lora.base: "third" is an adapter itself; name the model that its server serves'
    )


@pytest.mark.parametrize(
    ("base", "what"),
    [
        ({"lifecycle": "sleep", "sleep_level": 2}, "lifecycle: sleep, sleep_level: 2"),
        ({"lifecycle": "process", "endpoints": ["http://localhost:8009"]}, "lifecycle: process"),
    ],
)
def test_the_base_of_an_adapter_keeps_it(tmp_path: Path, base: Data, what: str) -> None:
    data = an_adapter()
    data["models"][1] |= base
    assert refusal(tmp_path, yaml.safe_dump(data)) == (
        f'models[2].lora.base: "seer" loses its adapters when it goes ({what}); write always, or sleep with '
        "sleep_level: 1"
    )


def test_the_base_of_an_adapter_may_sleep(tmp_path: Path) -> None:
    data = an_adapter()
    data["models"][1]["lifecycle"] = "sleep"
    assert load(tmp_path, data).models["seer"].lifecycle == "sleep"


def test_only_vllm_has_adapters(tmp_path: Path) -> None:
    data = an_adapter()
    data["models"][1]["backend"] = "openai"
    assert refusal(tmp_path, yaml.safe_dump(data)) == (
        'models[2].lora.base: "seer" has backend: openai; only vllm takes adapters'
    )


@pytest.mark.parametrize("endpoints", [["https://d"], ["https://c", "https://d"]])
def test_an_adapter_is_where_its_base_is(tmp_path: Path, endpoints: list[str]) -> None:
    assert refusal(tmp_path, yaml.safe_dump(an_adapter(endpoints=endpoints))) == (
        'models[2].endpoints: an adapter is where its base is; write those of "seer": https://c'
    )


def test_an_adapter_has_a_name_of_its_own(tmp_path: Path) -> None:
    assert refusal(tmp_path, yaml.safe_dump(an_adapter(served_as="seer"))) == (
        'models[2].served_as: "seer" is its base\'s name; an adapter needs a name of its own'
    )


@pytest.mark.parametrize(
    ("endpoints", "mistake"),
    [
        (
            ["http://localhost:8000", "http://localhost:8001"],
            "endpoints: lifecycle: process starts one server; give one address",
        ),
        *(
            ([endpoint], f'endpoints[0]: "{endpoint}" is not a port of this machine to start a server at')
            for endpoint in (
                "http://gpu1:8000",
                "https://localhost:8000",
                "http://localhost",
                "dns+http://localhost:8000",
                "http://0.0.0.0:8000",
            )
        ),
    ],
)
def test_a_process_needs_a_port_of_this_machine(tmp_path: Path, endpoints: list[str], mistake: str) -> None:
    data = with_model(lifecycle="process", endpoints=endpoints)
    assert refusal(tmp_path, yaml.safe_dump(data)) == f"models[2].{mistake}, such as http://127.0.0.1:8000"


def test_two_processes_need_two_ports(tmp_path: Path) -> None:
    data = with_model(lifecycle="process")
    data["models"].append(data["models"][2] | {"id": "fourth", "endpoints": ["http://127.0.0.1:8000"]})
    assert refusal(tmp_path, yaml.safe_dump(data)) == (
        'models[3].endpoints[0]: port 8000 is already that of "third"; give another'
    )


@pytest.mark.parametrize("kind", ["sleep", "process"])
def test_what_sleeps_with_its_server_has_one_of_its_own(tmp_path: Path, kind: str) -> None:
    data = with_model(lifecycle=kind, endpoints=["http://localhost:8009/"])
    data["models"].append(
        data["models"][2] | {"id": "fourth", "lifecycle": "sleep", "endpoints": ["http://localhost:8009"]}
    )
    assert refusal(tmp_path, yaml.safe_dump(data)) == (
        f'models[3].endpoints[0]: http://localhost:8009 is the server of "third" (lifecycle: {kind}), too: one cannot '
        "sleep without the other; give each a server of its own, or write lifecycle: always for both"
    )


def test_models_of_one_ollama_come_and_go_one_by_one(tmp_path: Path) -> None:
    data = with_model(lifecycle="ollama", backend="ollama", endpoints=["http://localhost:11434"])
    data["models"].append(data["models"][2] | {"id": "fourth"})
    assert [model.endpoints for model in load(tmp_path, data).models.values()][2:] == [("http://localhost:11434",)] * 2


def test_a_process_with_a_bad_address_is_told_of_that_alone(tmp_path: Path) -> None:
    data = with_model(lifecycle="process", endpoints=["http://localhost:port"])
    (line,) = refusal(tmp_path, yaml.safe_dump(data)).splitlines()
    assert line.startswith('models[2].endpoints[0]: "http://localhost:port" has no valid port')


def test_a_group_has_room_for_what_is_always_awake(tmp_path: Path) -> None:
    data = with_model(group="gpu0")
    data["groups"]["gpu0"]["max_resident"] = 1
    assert refusal(tmp_path, yaml.safe_dump(data)) == (
        "groups.gpu0: max_resident is 1, but 2 of its models are always awake: writer, third; raise it, or give them "
        "another lifecycle"
    )


@pytest.mark.parametrize("groups", [{"gpu0": {"max_resident": 1}}, {"gpu0": {}}, {}])
def test_a_group_has_room_for_what_comes_and_goes(tmp_path: Path, groups: Data) -> None:
    data = with_model(group="gpu0", lifecycle="sleep") | {"groups": groups}
    assert refusal(tmp_path, yaml.safe_dump(data)) == (
        "groups.gpu0: max_resident is 1, and always awake are: writer; that leaves no room for third; raise it, or "
        "give them another lifecycle"
    )


def test_a_group_that_nobody_declares_and_nobody_leaves_may_hold_any_number(tmp_path: Path) -> None:
    assert load(tmp_path, with_model(group="gpu0") | {"groups": {}}).groups == {}


def test_an_adapter_takes_no_place_of_its_bases_group(tmp_path: Path) -> None:
    data = an_adapter(lora={"path": "/adapters/x", "base": "writer"}, endpoints=["http://a:8000", "http://b:8000"])
    data["groups"]["gpu0"]["max_resident"] = 1
    assert load(tmp_path, data).models["third"].lane == "third"


# addresses


@pytest.mark.parametrize(
    "endpoint",
    [
        "localhost:8000",
        "ftp://a:8000",
        "http://",
        "http://:8000",
        "http://a:port",
        "http://a:99999",
        "http://a:0",
        "http://a:8000?key=1",
        "http://a:8000#top",
        "http://[::1",
        "",
        "dns+http://",
        "dns+http://vllm:port",
        "dns+http://vllm:0",
        "dns+http://user:password@vllm:8000",
        "dns+tcp://vllm:8000",
        "dns://vllm:8000",
    ],
)
def test_a_bad_endpoint_is_told_with_a_good_one(tmp_path: Path, endpoint: str) -> None:
    data = a_file()
    data["models"][0]["endpoints"][1] = endpoint
    message = refusal(tmp_path, yaml.safe_dump(data))
    assert message.startswith("models[0].endpoints[1]: ")
    assert "http://localhost:8000" in message


@pytest.mark.parametrize("endpoint", ["http://a b:8000", "http://a..b:8000", "http://a:8000/ v1"])
def test_an_endpoint_that_no_client_can_ask_is_refused(tmp_path: Path, endpoint: str) -> None:
    data = a_file()
    data["models"][0]["endpoints"] = [endpoint]
    assert refusal(tmp_path, yaml.safe_dump(data)).startswith("models[0].endpoints[0]: ")


@pytest.mark.parametrize("endpoint", ["localhost:8000", "dns://vllm:8000"])
def test_whoever_writes_a_wrong_endpoint_learns_of_names_that_stand_for_several(tmp_path: Path, endpoint: str) -> None:
    data = a_file()
    data["models"][0]["endpoints"] = [endpoint]
    assert "dns+http://name:port that stands for all addresses of a name" in refusal(tmp_path, yaml.safe_dump(data))


def test_a_name_that_stands_for_several_cannot_have_a_certificate(tmp_path: Path) -> None:
    data = a_file()
    data["models"][0]["endpoints"] = ["dns+https://vllm:8443"]
    assert "write dns+http://, or one https:// for every server" in refusal(tmp_path, yaml.safe_dump(data))


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://a",
        "https://a.example:443/base",
        "http://[::1]:8000",
        "http://10.0.0.1",
        "dns+http://vllm",
        "dns+http://vllm.gpu.svc.cluster.local:8000",
    ],
)
def test_an_endpoint_may_be_any_address_of_a_server(tmp_path: Path, endpoint: str) -> None:
    data = a_file()
    data["models"][0]["endpoints"] = [endpoint]
    assert load(tmp_path, data).models["writer"].endpoints == (endpoint,)


def test_a_wrong_model_is_not_told_of_as_a_missing_one(tmp_path: Path) -> None:
    data = a_file()
    data["models"] = data["models"][:1]
    data["models"][0]["lifecycle"] = "nope"
    (line,) = [line for line in refusal(tmp_path, yaml.safe_dump(data)).splitlines() if line.startswith("models")]
    assert line.startswith("models[0].lifecycle: ")


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    data = a_file()
    data["defaults"]["use_case"] = "none"
    data["models"][0]["endpoints"][0] = "nowhere"
    data["use_cases"][0]["examples"] = "lost.yaml"
    places = [line.split(":")[0] for line in refusal(tmp_path, yaml.safe_dump(data)).splitlines()]
    assert places == ["defaults.use_case", "models[0].endpoints[0]", "use_cases[0].examples"]


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "[]", "- models", "just words", "42"])
def test_a_file_that_is_no_mapping_is_told_what_it_must_be(tmp_path: Path, text: str) -> None:
    assert refusal(tmp_path, text) == "must be a mapping with version, models and use_cases"


@pytest.mark.parametrize("text", ["models: [", "a: b: c", "\tmodels:", "x: !!python/object:os.system {}", "a: &a [*b]"])
def test_a_file_that_is_not_yaml_is_told_where(tmp_path: Path, text: str) -> None:
    message = refusal(tmp_path, text)
    assert message.startswith("not YAML: ")
    assert "line 1" in message


def test_a_file_that_contains_itself_is_refused(tmp_path: Path) -> None:
    try:
        refusal(tmp_path, "version: 1\nmodels: &all [*all]\nuse_cases: []\n")
    except RecursionError:
        pytest.fail("RecursionError", pytrace=False)  # pytest itself chokes on its report


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "registry.yaml"
    path.write_bytes(b"version: 1 # \xff\n")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_registry(path, {})


def test_a_missing_file_is_told_with_its_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such registry; set MODEL_REGISTRY"):
        load_registry(tmp_path / "none.yaml", {})


def test_a_folder_is_no_registry(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_registry(tmp_path, {})


# keys of model servers

SECRET = "sk-very-secret"  # of nobody


def with_a_key(key: object) -> Data:
    file = a_file()
    file["models"][1] |= {"backend": "openai", "api_key": key}
    return file


def test_a_models_key_comes_from_the_environment_and_is_never_shown(tmp_path: Path) -> None:
    found = load(tmp_path, with_a_key("${OPENAI_API_KEY}"), {"OPENAI_API_KEY": SECRET})
    key = found.models["seer"].api_key
    assert key is not None
    assert key.get_secret_value() == SECRET
    assert SECRET not in f"{found!r} {found.models['seer']} {found.models['seer'].model_dump()}"
    assert SECRET not in found.models["seer"].model_dump_json()


def test_another_key_is_a_change_that_does_not_tell_it(tmp_path: Path) -> None:
    old, new = (load(tmp_path, with_a_key(key)) for key in ("sk-1-secret", SECRET))
    found = changes(old, new)
    assert found.changed == ("seer",)
    assert "secret" not in repr(found)


@pytest.mark.parametrize("key", ["", None])
def test_an_empty_key_is_none(tmp_path: Path, key: str | None) -> None:
    assert load(tmp_path, with_a_key(key)).models["seer"].api_key is None


@pytest.mark.parametrize(
    "key",
    [f"{SECRET} x", f"{SECRET}\r\nX-Admin: 1", f"{SECRET}ü", 12345, [SECRET], {SECRET: SECRET}, f"{SECRET} ${{"],
)
def test_a_key_that_cannot_be_one_is_named_and_not_shown(tmp_path: Path, key: object) -> None:
    said = refusal(tmp_path, yaml.safe_dump(with_a_key(key)))
    assert said.startswith("models[1].api_key: ")
    assert SECRET not in said
    assert "12345" not in said


@pytest.mark.parametrize(
    "text",
    [
        f"models:\n  - api_key: {SECRET}: x\n",
        f"version: 1\nmodels: {{id: a, api_key: {SECRET}}}\nuse_cases: []\n",
        f"version: 1\nmodels: [[{{api_key: {SECRET}}}]]\nuse_cases: []\n",
    ],
)
def test_a_file_of_the_wrong_form_is_refused_without_showing_a_key(tmp_path: Path, text: str) -> None:
    assert SECRET not in refusal(tmp_path, text)


@pytest.mark.parametrize(
    "process",
    [
        {"environment": {"HF_TOKEN": SECRET, "PIN": 12345}},
        {"environment": [f"HF_TOKEN={SECRET}"]},
        {"environment": {"HF_TOKEN": f"{SECRET} ${{"}},
        {"command": f"vllm serve --api-key {SECRET}"},
        {"command": ["vllm", {"--api-key": SECRET}]},
        f"HF_TOKEN={SECRET} vllm serve",
    ],
)
def test_what_a_server_is_started_with_is_not_shown(tmp_path: Path, process: object) -> None:
    data = a_file()
    data["models"][1]["process"] = process
    said = refusal(tmp_path, yaml.safe_dump(data))
    assert said.startswith("models[1].process")
    assert SECRET not in said
    assert "12345" not in said


@pytest.mark.parametrize(
    ("process", "said"),
    [
        ({"command": ["vllm", "a\0b"]}, "command: must not contain a null character"),
        ({"log": "a\0b"}, "log: must not contain a null character"),
        ({"environment": {"A": "b\0c"}}, "environment: must not contain a null character"),
        ({"environment": {"A=B": "c"}}, "environment: a name of a variable must not be empty, nor contain ="),
        ({"environment": {"": "c"}}, "environment: a name of a variable must not be empty, nor contain ="),
    ],
)
def test_what_no_system_could_start_is_refused(tmp_path: Path, process: object, said: str) -> None:
    data = a_file()
    data["models"][1]["process"] = process
    assert f"models[1].process.{said}" in refusal(tmp_path, yaml.safe_dump(data))


def test_its_environment_is_not_shown_in_logs(tmp_path: Path) -> None:
    data = a_file()
    data["models"][1]["process"] = {"environment": {"HF_TOKEN": SECRET}}
    assert SECRET not in repr(load(tmp_path, data))


def test_what_else_is_wrong_of_a_process_is_shown(tmp_path: Path) -> None:
    data = a_file()
    data["models"][1]["process"] = {"gpu_memory_fraction": 2}
    assert "models[1].process.gpu_memory_fraction: input should be less than or equal to 1 (it is 2)" in refusal(
        tmp_path, yaml.safe_dump(data)
    )


@pytest.mark.parametrize(
    "endpoint",
    [
        f"http://me:{SECRET}@model:8000",
        f"http://{SECRET}@model:8000",
        f"http://me:{SECRET}/@model:8000",
        f"http://model:8000?key={SECRET}",
        f"http://model:8000/#{SECRET}",
        f"ftp://me:{SECRET}@model",
    ],
)
def test_a_key_in_an_address_is_not_shown(tmp_path: Path, endpoint: str) -> None:
    data = a_file()
    data["models"][1]["endpoints"] = [endpoint]
    said = refusal(tmp_path, yaml.safe_dump(data))
    assert said.startswith("models[1].endpoints[0]: ")
    assert SECRET not in said


def test_a_key_under_another_name_is_not_shown(tmp_path: Path) -> None:
    data = a_file()
    data["models"] = [data["models"][0] | {"apikey": SECRET, "id": "a", "endpoints": ["http://a"]}]
    assert SECRET not in refusal(tmp_path, yaml.safe_dump(data, sort_keys=False))
    data["models"] = [{"apikey": SECRET}]
    assert SECRET not in refusal(tmp_path, yaml.safe_dump(data))
