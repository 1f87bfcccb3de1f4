"""
Writes `dashboards/*.json`, which Grafana loads: `python -m grafana.dashboards`, from the project's folder.

The JSON is committed, since Grafana needs it where this does not run; a test fails when the two differ.
"""

from pathlib import Path

from grafana.models import MODELS
from grafana.overview import OVERVIEW
from grafana.quality import QUALITY
from grafana.reliability import RELIABILITY

FOLDER = Path(__file__).parent / "dashboards"
BOARDS = (OVERVIEW, MODELS, QUALITY, RELIABILITY)


def files() -> dict[str, str]:
    """Name of a file -> what must stand in it."""
    return {f"{board.id}.json": board.text_of_file() for board in BOARDS}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text)
        print(f"wrote {FOLDER.name}/{name}")  # noqa: T201 - this is a command


if __name__ == "__main__":
    main()
