"""Writes what of the documents is made from the source: `python -m scripts.docs`, from the project's folder."""

from scripts.docs.pages import PAGES, ROOT


def main() -> None:
    for place, made in PAGES.items():
        text = made()
        if not (ROOT / place).exists() or (ROOT / place).read_text(encoding="utf-8") != text:
            (ROOT / place).write_text(text, encoding="utf-8")
            print(f"{place}: made anew")


if __name__ == "__main__":
    main()
