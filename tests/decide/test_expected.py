"""Who is expected where, and for how long."""

from smart_router.decide.expected import FORESEEN_S, Expected


def test_who_is_expected_is_so_for_a_while() -> None:
    expected = Expected()
    assert not expected.expects("tts", 0)
    expected.expect("s", "tts", 0)
    assert expected.expects("tts", FORESEEN_S - 1)
    assert not expected.expects("tts", FORESEEN_S)


def test_whoever_came_is_not_expected_any_more_and_others_are() -> None:
    expected = Expected()
    expected.expect("s", "tts", 0)
    expected.expect("z", "tts", 0)
    expected.came("s", "tts")
    assert expected.expects("tts", 1)
    expected.came("z", "tts")
    expected.came("z", "agent")
    assert not expected.expects("tts", 1)


def test_whoever_is_expected_anew_is_so_from_then_on() -> None:
    expected = Expected()
    expected.expect("s", "tts", 0)
    expected.expect("z", "tts", 5)
    expected.expect("s", "tts", 10)
    assert expected.expects("tts", FORESEEN_S + 9)
    assert not expected.expects("tts", FORESEEN_S + 10)


def test_what_is_given_up_or_gone_is_forgotten() -> None:
    expected = Expected()
    for model in ("tts", "agent", "stt"):
        expected.expect("s", model, 0)
    expected.give_up("tts")
    expected.keep(frozenset(("tts", "stt")))
    assert [expected.expects(model, 1) for model in ("tts", "agent", "stt")] == [False, False, True]
