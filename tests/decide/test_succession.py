"""What follows what, as far as sessions of late have shown."""

from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.succession import LEAST_SEEN, MOST_SESSIONS, Succession


def seen(*habits: tuple[str, int]) -> Succession:
    """So many sessions each that went this way, a letter a turn."""
    succession = Succession()
    for habit, (way, times) in enumerate(habits):
        for number in range(times):
            for model in way:
                succession.used(f"{habit}-{number}", model)
    return succession


def foreseen(succession: Succession, way: str) -> str | None:
    """What is expected of a new session after it."""
    return [succession.used("new", model) for model in way][-1]


def test_what_sessions_usually_go_on_to_is_foreseen() -> None:
    succession = seen(("lat", 30))
    assert [foreseen(succession, way) for way in ("l", "la")] == ["a", "t"]


def test_where_they_come_from_matters() -> None:
    succession = seen(("lat", 30), ("aa", 300))
    assert foreseen(succession, "la") == "t"
    assert succession.used("another", "a") is None, "most of those that begin there stay"


def test_turns_that_stay_are_no_steps() -> None:
    succession = seen(("lllaaaat", 30))
    assert foreseen(succession, "lla") == "t"
    assert succession.used("new", "a") is None, "it was said already"


def test_a_few_sessions_say_nothing() -> None:
    assert foreseen(seen(("lat", LEAST_SEEN - 2)), "la") is None
    assert foreseen(seen(("lat", LEAST_SEEN)), "la") == "t"


def test_what_only_some_do_is_not_foreseen() -> None:
    assert foreseen(seen(("lat", 30), ("la", 40)), "la") is None


def test_old_habits_fade() -> None:
    succession = seen(("lat", 3000), ("lav", 2500))
    assert foreseen(succession, "la") == "v"


def test_models_that_are_gone_are_not_foreseen() -> None:
    succession = seen(("lat", 30))
    succession.keep(frozenset("la"))
    assert foreseen(succession, "la") is None
    succession.keep(frozenset("a"))
    assert foreseen(succession, "l") is None


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("lat")), max_size=300))
def test_what_is_foreseen_is_never_where_the_session_stands(uses: list[tuple[str, str]]) -> None:
    succession = seen(("lat", 30), ("tal", 25))
    for session, model in uses:
        assert succession.used(session, model) != model


def test_the_sessions_that_are_followed_are_bounded() -> None:
    succession = seen(("l", MOST_SESSIONS + 50))
    assert succession.used("0-0", "l") != "l"
    assert len(succession._at) <= MOST_SESSIONS
