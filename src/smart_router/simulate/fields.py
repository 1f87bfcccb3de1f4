"""Reading a body's fields, lenient where pydantic is, with all problems told at once in its words."""

from typing import Any

from smart_router.simulate.errors import Invalid, Problem

_TRUE = {"true", "1", "yes", "on", "t", "y"}
_FALSE = {"false", "0", "no", "off", "f", "n"}


class Fields:
    """
    The fields of one body. Reading never fails, `check` does: read everything first.

    The order of reading is the order of the problems, and the first one's place is the error's `param`.
    """

    def __init__(self, body: dict[str, Any], place: str = "body") -> None:
        self.body = body
        self._place = place
        self._problems: list[Problem] = []

    def text(self, name: str, *, required: bool = False) -> str | None:
        value = self._value(name, required)
        if value is None or isinstance(value, str):
            return value
        self._wrong(name, "string_type", "Input should be a valid string")
        return None

    def list(self, name: str, *, required: bool = False) -> list[Any] | None:
        value = self._value(name, required)
        if isinstance(value, list) or (value is None and not (required and name in self.body)):
            return value
        self._wrong(name, "list_type", "Input should be a valid list")
        return None

    def object(self, name: str) -> dict[str, Any] | None:
        value = self._value(name)
        if value is None or isinstance(value, dict):
            return value
        self._wrong(name, "model_attributes_type", "Input should be a valid dictionary or object")
        return None

    def integer(self, name: str, *, required: bool = False) -> int | None:
        value = self._value(name, required)
        if value is None:
            return None
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            self._wrong(name, *_no_integer(value))
            return None
        if number.is_integer():
            return int(number)
        self._wrong(name, "int_from_float", "Input should be a valid integer, got a number with a fraction")
        return None

    def number(self, name: str) -> float | None:
        value = self._value(name)
        try:
            return None if value is None else float(value)
        except (TypeError, ValueError, OverflowError):
            self._wrong(name, "float_parsing", "Input should be a valid number")
            return None

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self._value(name)
        if value is None:
            return default
        word = str(value).lower()
        if word not in _TRUE | _FALSE:
            self._wrong(name, "bool_parsing", "Input should be a valid boolean, unable to interpret input")
        return word in _TRUE

    def choice(self, name: str, allowed: tuple[str, ...]) -> str | None:
        value = self._value(name)
        if value is None or value in allowed:
            return None if value is None else str(value)
        self._wrong(name, "literal_error", f"Input should be {_or(allowed)}")
        return None

    def missing(self, name: str) -> None:
        self._problems.append(Problem("missing", f"{self._place}.{name}", "Field required", self.body))

    def problem(self, type: str, name: str, msg: str, value: Any) -> None:
        self._problems.append(Problem(type, f"{self._place}.{name}", msg, value))

    def include(self, inner: "Fields") -> None:
        """Take over the problems of an object inside this one."""
        self._problems += inner._problems

    def check(self) -> None:
        """
        Raises:
            Invalid: something that was read had the wrong form.
        """
        if self._problems:
            raise Invalid(self._problems)

    def _value(self, name: str, required: bool = False) -> Any:
        if required and name not in self.body:
            self.missing(name)
        return self.body.get(name)

    def _wrong(self, name: str, type: str, msg: str) -> None:
        self.problem(type, name, msg, self.body[name])


def _no_integer(value: Any) -> tuple[str, str]:
    if isinstance(value, str):
        return "int_parsing", "Input should be a valid integer, unable to parse string as an integer"
    return "int_type", "Input should be a valid integer"


def _or(allowed: tuple[str, ...]) -> str:
    quoted = [repr(word) for word in allowed]
    return " or ".join(filter(None, (", ".join(quoted[:-1]), quoted[-1])))
