import pytest

from smart_router.tui.app import ChatApp
from smart_router.tui.commands import COMMANDS, Order, Unknown, completions, matching, message, read
from smart_router.tui.start import Start
from tests.tui.fakes import FakeRouter


@pytest.mark.parametrize("line", ["hello", "/etc/passwd is a file", "//help", "a /help", "/\nlist"])
def test_what_is_no_command_is_a_message(line: str) -> None:
    assert read(line) is None


@pytest.mark.parametrize(
    ("line", "order"),
    [
        ("/help", Order("help", "")),
        ("/session my talk ", Order("session", "my talk")),
        ("/use-case  agent", Order("use-case", "agent")),
        ("/q", Order("quit", "")),
        ("/att cat.png", Order("attach", "cat.png")),
    ],
)
def test_a_command_is_known_by_its_name_or_its_beginning(line: str, order: Order) -> None:
    assert read(line) == order


def test_what_is_none_of_them_says_which_may_be_meant() -> None:
    assert read("/hlep") == Unknown("hlep", None)
    assert read("/e") == Order("end", "")
    assert read("/") == Unknown("", None)


def test_a_message_may_begin_with_a_slash() -> None:
    assert message("//help") == "/help"
    assert message("help") == "help"


def test_the_names_of_commands_are_completed() -> None:
    assert completions("/n", {}) == ["/new "]
    assert completions("/", {}) == [f"/{c.name} " if c.takes else f"/{c.name}" for c in COMMANDS]
    assert completions("hello", {}) == completions("//n", {}) == completions("/n\nx", {}) == []


def test_arguments_are_completed_by_who_knows_them() -> None:
    known = {"theme": lambda begun: [name for name in ("night", "mist") if name.startswith(begun)]}
    assert completions("/theme ", known) == ["/theme night", "/theme mist"]
    assert completions("/theme mi", known) == ["/theme mist"]
    assert completions("/clear x", known) == []


def test_hints_are_of_commands_that_fit() -> None:
    assert [command.name for command in matching("/c")] == ["clear"]
    assert [command.name for command in matching("/attach cat")] == ["attach"]
    assert matching("c") == matching("//c") == []


def test_every_command_is_carried_out_by_somebody() -> None:
    app = ChatApp(Start(FakeRouter().connect, "http://localhost:8001"))
    assert set(app.orders._by_name) == {command.name for command in COMMANDS}
