"""What an encoder sees of a text: its own tokens, both ends of a long one, and what a later turn comes after."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from smart_router.classify.artifact import SHIPPED
from smart_router.classify.base import Said
from smart_router.classify.window import AFTER_SHARE, BATCH, EDGE_CHARACTERS, Window

TOKENIZER = SHIPPED / "tokenizer.json"
MOST = 32
READ = Tokenizer.from_file(str(TOKENIZER))
READ.no_padding()
READ.no_truncation()
CLS, SEP = READ.token_to_id("[CLS]"), READ.token_to_id("[SEP]")
LONG = " ".join("abcdefghijklmnopqrstuvwxyz" * 20)
WINDOWS = {most: Window(TOKENIZER, most) for most in (8, 33, 64)}
TEXTS = st.text(max_size=300) | st.lists(st.sampled_from(["write", "it", "वीडियो", "मदद", "!"]), max_size=90).map(
    " ".join
)


@pytest.fixture(scope="module")
def window() -> Window:
    return Window(TOKENIZER, MOST)


def seen(window: Window, text: str, after: str = "") -> list[int]:
    """The ids of one text, without padding."""
    batch = window.batch([Said(text, after)])
    assert batch.mask.all()
    return list(batch.ids[0].tolist())


def plain(text: str) -> list[int]:
    return list(READ.encode(text, add_special_tokens=False).ids)


def parts(ids: Sequence[int]) -> tuple[list[int], list[int]]:
    """What comes before, and the text, of a pair."""
    assert (ids[0], ids[-1]) == (CLS, SEP)
    middle = ids.index(SEP)
    return list(ids[1:middle]), list(ids[middle + 1 : -1])


def test_a_short_text_is_as_its_tokenizer_makes_it(window: Window) -> None:
    assert seen(window, "write a poem") == READ.encode("write a poem").ids


def test_a_later_turn_is_a_pair_behind_what_it_comes_after(window: Window) -> None:
    assert seen(window, "make it shorter", "agent: a poem") == READ.encode("agent: a poem", "make it shorter").ids


def test_no_text_at_all_is_only_its_frame(window: Window) -> None:
    assert seen(window, "") == [CLS, SEP]
    assert parts(seen(window, "", "agent: a poem")) == (plain("agent: a poem"), [])


def test_a_prompt_stands_before_the_text_but_not_before_what_it_comes_after() -> None:
    window = Window(TOKENIZER, MOST, "query: ")
    assert seen(window, "write a poem") == READ.encode("query: write a poem").ids
    assert seen(window, "shorter", "agent: a poem") == READ.encode("agent: a poem", "query: shorter").ids


def test_a_long_text_keeps_its_prompt() -> None:
    prompt = plain("query:")
    assert seen(Window(TOKENIZER, MOST, "query: "), LONG)[1 : 1 + len(prompt)] == prompt


def test_words_of_indian_scripts_are_read_in_latin_letters(window: Window) -> None:
    assert seen(window, "वीडियो, please", "stt: ವೀಡಿಯೊ") == seen(window, "vidiyo, please", "stt: vidiyo")


def test_a_long_text_keeps_both_ends_and_fills_the_window(window: Window) -> None:
    room, found = MOST - 2, seen(window, LONG)
    assert len(found) == MOST
    assert found[1:-1] == plain(LONG)[: room // 2] + plain(LONG)[-room // 2 :]


@pytest.mark.parametrize("more", [0, 1])
def test_a_text_that_just_fits_is_whole(window: Window, more: int) -> None:
    text = " ".join("a" * (MOST - 2 + more))
    assert (seen(window, text) == READ.encode(text).ids) == (more == 0)


def test_a_later_turn_has_its_share_and_the_text_the_rest(window: Window) -> None:
    before, text = parts(seen(window, LONG, LONG))
    assert len(before) == int(MOST * AFTER_SHARE)
    assert len(text) == MOST - 3 - len(before)
    assert (before[0], before[-1], text[0], text[-1]) == (*plain("a z"), *plain("a z"))


def test_what_a_turn_comes_after_does_not_crowd_out_a_short_text(window: Window) -> None:
    assert parts(seen(window, "make it shorter", LONG))[1] == plain("make it shorter")


@given(text=TEXTS, after=TEXTS, most=st.sampled_from([8, 33, 64]))
def test_there_are_never_more_tokens_than_allowed(text: str, after: str, most: int) -> None:
    found = seen(WINDOWS[most], text, after)
    assert len(found) <= most
    assert (found[0], found[-1]) == (CLS, SEP)


def test_of_a_very_long_text_the_middle_is_not_even_read() -> None:
    wide, end = Window(TOKENIZER, 4 * EDGE_CHARACTERS), "a " * (EDGE_CHARACTERS // 2)
    assert seen(wide, f"{end}zebra {end}") == seen(wide, f"{end}lion {end}")
    assert seen(wide, f"{end}zebra") != seen(wide, f"{end}lion")


# batches


def test_a_batch_is_padded_and_its_mask_says_where(window: Window) -> None:
    batch = window.batch([Said("a"), Said("a b c")])
    assert batch.places == [0, 1]
    assert batch.mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert batch.ids[0].tolist() == [*READ.encode("a").ids, 0, 0]


def test_batches_hold_every_text_once_the_shortest_first(window: Window) -> None:
    said = [Said("a " * (i * 7 % 25)) for i in range(2 * BATCH + 3)]
    batches = list(window.batches(said))
    assert [len(batch.places) for batch in batches] == [BATCH, BATCH, 3]
    assert sorted(place for batch in batches for place in batch.places) == list(range(len(said)))
    lengths = [int(n) for batch in batches for n in batch.mask.sum(axis=1)]
    assert lengths == sorted(lengths)


def test_each_text_of_a_batch_has_its_own_tokens(window: Window) -> None:
    said = [Said("write a poem about the rain"), Said("b"), Said("make it rhyme", "agent: a poem")]
    for batch in window.batches(said):
        for place, ids, mask in zip(batch.places, batch.ids, batch.mask, strict=True):
            assert ids[mask.astype(bool)].tolist() == seen(window, *said[place])


def test_ids_are_what_onnxruntime_takes(window: Window) -> None:
    batch = window.batch([Said("a")])
    assert [array.dtype.name for array in (batch.ids, batch.mask)] == ["int64", "int64"]


def test_no_texts_make_no_batches(window: Window) -> None:
    assert list(window.batches([])) == []
