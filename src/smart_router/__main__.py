"""`smart-router` and `python -m smart_router`."""

from smart_router.cli import app


def main() -> None:
    app()


if __name__ == "__main__":
    main()
