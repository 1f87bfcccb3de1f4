from smart_router.tui.history import MOST, History


def a_history(*lines: str) -> History:
    history = History()
    for line in lines:
        history.add(line)
    return history


def test_what_was_typed_comes_back_latest_first_and_the_draft_at_the_end() -> None:
    history = a_history("one", "two")
    assert [history.back("draft"), history.back("two"), history.back("one")] == ["two", "one", None]
    assert [history.forth(), history.forth(), history.forth()] == ["two", "draft", None]


def test_the_same_twice_and_nothing_are_kept_once_and_not_at_all() -> None:
    history = a_history("one", "one", "  ")
    assert [history.back(""), history.back("one")] == ["one", None]


def test_it_is_bounded() -> None:
    history = a_history(*map(str, range(MOST + 10)))
    seen = 0
    while history.back("") is not None:
        seen += 1
    assert seen == MOST
