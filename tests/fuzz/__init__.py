"""
Fuzzing. Each target is a module whose `check(data)` raises when a promise is broken for these bytes.

    python -m tests.fuzz [target ...] [--seconds 60]     guided by coverage, with atheris
    tests/fuzz/test_targets.py                           what is known, replayed without it
"""
