"""What follows what, as far as sessions of late have shown."""

from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.succession import LEAST_SEEN, MOST_SEEN, MOST_SESSIONS, Habit, Succession

MODELS = frozenset("latv")


def seen(*habits: tuple[str, int]) -> Succession:
    """So many sessions each that went this way, a letter a turn."""
    succession = Succession(MODELS)
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
    assert foreseen(seen(("lat", 55), ("lav", 45)), "la") is None, "about as many go elsewhere"
    assert foreseen(seen(("lat", 65), ("lav", 35)), "la") == "t"


def test_old_habits_fade() -> None:
    succession = seen(("lat", 3000), ("lav", 2500))
    assert foreseen(succession, "la") == "v"


def test_models_that_are_gone_are_not_foreseen() -> None:
    succession = seen(("lat", 30))
    succession.keep(frozenset("la"))
    assert foreseen(succession, "la") is None
    succession.keep(frozenset("a"))
    assert foreseen(succession, "l") is None


def test_where_sessions_stand_at_models_that_are_gone_is_forgotten() -> None:
    succession = seen(("lat", 30))
    succession.used("new", "v")
    succession.keep(frozenset("lat"))
    assert foreseen(succession, "la") == "t", "it comes from nowhere, not from what is gone"


def test_what_is_no_model_here_is_not_followed() -> None:
    succession = Succession(frozenset("la"))
    assert succession.used("s", "x") is None
    assert not succession.take()


# shared with others


def test_what_was_counted_is_taken_once() -> None:
    succession = seen(("la", 3))
    assert succession.take() == {(None, "l"): Habit(3, {"a": 3}), ("l", "a"): Habit(3)}
    assert succession.take() == {}
    succession.used("new", "l")
    assert succession.take() == {(None, "l"): Habit(1)}


def test_what_could_not_be_shared_is_taken_again() -> None:
    succession = seen(("la", 3))
    taken = succession.take()
    succession.used("new", "l")
    succession.put_back(taken)
    assert succession.take()[None, "l"] == Habit(4, {"a": 3})


def test_what_others_counted_is_foreseen() -> None:
    others, succession = seen(("lat", 30)), Succession(MODELS)
    succession.learn(others.take())
    assert foreseen(succession, "la") == "t"


def test_what_was_counted_meanwhile_is_not_forgotten_for_what_all_counted() -> None:
    succession = seen(("lat", 15))
    shared = succession.take()
    for number in range(10):
        for model in "lat":
            succession.used(f"meanwhile-{number}", model)
    succession.learn(shared)
    assert foreseen(succession, "la") == "t"
    assert succession.take()["l", "a"] == Habit(11, {"t": 10})


def test_what_is_learnt_of_models_that_are_not_here_is_left_out() -> None:
    succession = Succession(frozenset("la"))
    succession.learn(seen(("lat", 30), ("la", 40), ("vt", 30)).take())
    assert foreseen(succession, "l") == "a"
    assert set(succession._habits) <= {(None, "l"), ("l", "a")}


def test_what_is_not_shared_for_long_fades_too() -> None:
    assert seen(("l", 3 * MOST_SEEN)).take()[None, "l"].visits <= MOST_SEEN


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("lat")), max_size=300))
def test_what_is_foreseen_is_never_where_the_session_stands(uses: list[tuple[str, str]]) -> None:
    succession = seen(("lat", 30), ("tal", 25))
    for session, model in uses:
        assert succession.used(session, model) != model


def test_the_sessions_that_are_followed_are_bounded() -> None:
    succession = seen(("l", MOST_SESSIONS + 50))
    assert succession.used("0-0", "l") != "l"
    assert len(succession._at) <= MOST_SESSIONS
