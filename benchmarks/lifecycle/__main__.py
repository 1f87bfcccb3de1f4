"""
Who makes room for whom, simulated: 20 models, of which 8 can be awake, and sessions that ask them. By the router's own
planner, beside plain LRU and first in, first out. Writes the tables and the plot of docs/model-lifecycle.md.

    python -m benchmarks.lifecycle
"""

from pathlib import Path

from benchmarks.lifecycle.report import draw, tables, written

DOCS = Path(__file__).parents[2] / "docs"


def main() -> None:
    document = DOCS / "model-lifecycle.md"
    document.write_text(written(document.read_text(), list(tables())))
    draw(DOCS / "images" / "model-lifecycle.png")


if __name__ == "__main__":
    main()
