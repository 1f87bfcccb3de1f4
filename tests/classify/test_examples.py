"""Examples files: what is read, which mistakes are told where, and what ships."""

from collections import Counter
from pathlib import Path

import pytest

from smart_router.classify.base import Example
from smart_router.classify.examples import load_examples, load_out_of_scope
from smart_router.errors import ConfigurationError
from smart_router.registry import Registry, load_registry

from .worlds import EXAMPLES, TEXTS, a_world

SHIPPED = Path(__file__).parents[2] / "config" / "model_registry.yaml"
INDIAN = ("hi", "hi-Latn", "ta", "te", "bn", "mr", "gu", "kn", "ml", "pa")


def with_agents(folder: Path, text: str) -> Registry:
    registry = a_world(folder)
    (folder / "agent.yaml").write_text(text)
    return registry


def refusal(folder: Path, text: str) -> str:
    registry = with_agents(folder, text)
    with pytest.raises(ConfigurationError) as caught:
        load_examples(registry)
    start = f"{folder.resolve() / 'agent.yaml'}: "
    assert str(caught.value).startswith(start)
    return str(caught.value).removeprefix(start)


def test_examples_come_in_the_order_of_registry_and_file(tmp_path: Path) -> None:
    assert load_examples(a_world(tmp_path)) == EXAMPLES


def test_an_example_says_its_language_and_what_is_attached(tmp_path: Path) -> None:
    registry = with_agents(tmp_path, 'hi: ["नमस्ते"]\nhi-Latn: [{attached: image, text: "yeh kya hai"}]\n')
    assert load_examples(registry)[:2] == (
        Example("नमस्ते", "agent", "hi"),
        Example("yeh kya hai", "agent", "hi-Latn", "image"),
    )


def test_a_list_may_stand_below_its_writer(tmp_path: Path) -> None:
    registry = with_agents(tmp_path, "en: {w1: [one, {attached: audio, text: two}], w2: [three]}\nhi: [four]\n")
    assert load_examples(registry)[:4] == (
        Example("one", "agent", "en", None, "w1"),
        Example("two", "agent", "en", "audio", "w1"),
        Example("three", "agent", "en", None, "w2"),
        Example("four", "agent", "hi", None, ""),
    )


def test_a_writer_who_is_a_number_is_a_name_all_the_same(tmp_path: Path) -> None:
    assert load_examples(with_agents(tmp_path, "en: {7: [one]}"))[0].writer == "7"


def test_a_use_case_without_examples_gives_none(tmp_path: Path) -> None:
    a_world(tmp_path)
    path = tmp_path / "registry.yaml"
    path.write_text(path.read_text().replace("examples: agent.yaml\n  ", ""))
    assert {e.use_case for e in load_examples(load_registry(path, {}))} == set(TEXTS) - {"agent"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be a mapping from language"),
        ("- hello", "must be a mapping from language"),
        ("hello", "must be a mapping from language"),
        ("en: hello", "en: must be a list"),
        ("en:", "en: must be a list"),
        ("en: {w1: b}", "en.w1: must be a list, or a list per writer"),
        ("en: {w1: [good], w2: }", "en.w2: must be a list, or a list per writer"),
        ("en: {w1: {w2: [good]}}", "en.w1: must be a list, or a list per writer"),
        ("en: {w1: [good], w2: [good, 5]}", "en.w2[1]: must be a text"),
        ("en: {w1: [{attached: pdf, text: a}]}", "en.w1[0].attached: must be one of image, audio, video"),
        ("en: [good, 5]", "en[1]: must be a text"),
        ("en: [good, '']", "en[1]: must be a text"),
        ("en: [good, '  ']", "en[1]: must be a text"),
        ("en: [good, null]", "en[1]: must be a text"),
        ("en: [good, yes]", "en[1]: must be a text"),
        ("en: [{text: no file}]", "en[0]: must be a text"),
        ("en: [{attached: image}]", "en[0]: must be a text"),
        ("en: [{attached: image, text: a, more: b}]", "en[0]: must be a text"),
        ("en: [{attached: image, text: 5}]", "en[0]: must be a text"),
        ("en: [{attached: image, text: ''}]", "en[0]: must be a text"),
        ("en: [{attached: pdf, text: a}]", "en[0].attached: must be one of image, audio, video"),
        ("en: [{attached: [image], text: a}]", "en[0].attached: must be one of image, audio, video"),
        ("en: [a\nta: [b]", "cannot be read"),
        ("en: !!python/name:os.system ''", "cannot be read"),
    ],
)
def test_a_mistake_is_told_with_its_file_and_item(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text).startswith(message)


@pytest.mark.parametrize("text", ["no: [nei takk]", "5: [five]"])
def test_a_language_that_yaml_does_not_read_as_text_is_told(tmp_path: Path, text: str) -> None:
    """`no` (Norwegian) is the boolean false in YAML 1.1: it must be quoted."""
    refusal(tmp_path, text)


def test_a_file_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    registry = a_world(tmp_path)
    (tmp_path / "agent.yaml").write_bytes(b"en: [\xff]")
    with pytest.raises(ConfigurationError, match=r"agent\.yaml: cannot be read"):
        load_examples(registry)


# out of scope


def test_what_is_out_of_scope_has_the_same_form_and_belongs_nowhere(tmp_path: Path) -> None:
    registry = a_world(tmp_path, out_of_scope="en: [thanks]\nhi: {w1: [{attached: image, text: धन्यवाद}]}\n")
    assert load_out_of_scope(registry) == (Example("thanks", "", "en"), Example("धन्यवाद", "", "hi", "image", "w1"))
    assert load_examples(registry) == EXAMPLES


def test_a_mistake_in_what_is_out_of_scope_is_told_with_its_file(tmp_path: Path) -> None:
    registry = a_world(tmp_path, out_of_scope="en: [5]")
    with pytest.raises(ConfigurationError, match=r"out_of_scope\.yaml: en\[0\]: must be a text"):
        load_out_of_scope(registry)


def test_a_registry_need_not_have_any(tmp_path: Path) -> None:
    assert load_out_of_scope(a_world(tmp_path)) == ()


# what ships


@pytest.fixture(scope="module")
def shipped() -> tuple[Example, ...]:
    return load_examples(load_registry(SHIPPED, {}))


def test_every_use_case_ships_enough_examples_in_every_language(shipped: tuple[Example, ...]) -> None:
    counts = Counter((e.use_case, e.language) for e in shipped)
    wanted = {"en": 200} | dict.fromkeys(INDIAN, 50)
    missing = {
        (use_case, language): counts[use_case, language]
        for use_case in ("agent", "multimodal", "video", "stt", "tts", "avatar")
        for language, least in wanted.items()
        if counts[use_case, language] < least
    }
    assert missing == {}


def test_no_example_ships_twice(shipped: tuple[Example, ...]) -> None:
    counts = Counter((" ".join(e.text.split()).casefold(), e.attached) for e in shipped)
    assert [text for text, count in counts.items() if count > 1] == []


def test_shipped_examples_fit_the_limit_of_a_query(shipped: tuple[Example, ...]) -> None:
    assert max(len(e.text) for e in shipped) < 32_768
