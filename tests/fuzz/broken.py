"""A target that does not hold: what a run that finds something looks like."""

WORDS = (b"!",)


def check(data: bytes) -> None:
    assert b"!" not in data
