"""
One target under libFuzzer, which looks for inputs that reach code not reached before.

    python -m tests.fuzz.guided TARGET [option of libFuzzer | file | folder of a corpus]...

A process of its own, as code is instrumented where it is imported.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from random import Random
from typing import Any

Change = Callable[[bytes, Random], bytes]


def main(target: str, *options: str) -> None:
    atheris: Any = import_module("atheris")
    with atheris.instrument_imports(include=["smart_router"]):
        module = import_module(f"tests.fuzz.{target}")
    change: Change | None = getattr(module, "changed", None)
    more = {} if change is None else {"custom_mutator": _mutator(atheris, change)}
    atheris.Setup([sys.argv[0], *options], module.check, **more)
    atheris.Fuzz()


def _mutator(atheris: Any, change: Change) -> Callable[[bytes, int, int], bytes]:
    """Half of the inputs are changed by the target, half by libFuzzer."""

    def mutated(data: bytes, most: int, seed: int) -> bytes:
        found = change(data, Random(seed)) if seed % 2 else data
        return found if found != data and len(found) <= most else atheris.Mutate(data, most)

    return mutated


if __name__ == "__main__":
    main(*sys.argv[1:])
