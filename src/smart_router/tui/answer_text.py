"""An answer as Markdown: whatever it says, it is text. It cannot style, click, fetch, or steer the terminal."""

from collections.abc import Iterator

from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from pygments.token import Token as Kind  # type: ignore[import-untyped]  # has no types
from textual.app import ComposeResult
from textual.content import Content
from textual.highlight import HighlightTheme, highlight
from textual.widgets import Markdown
from textual.widgets._markdown import (
    MarkdownBlock,
    MarkdownFence,
    MarkdownTable,
    MarkdownTableContent,
)

from smart_router.tui.plain import plain


def parser() -> MarkdownIt:
    """HTML is shown as it stands, and a link says where it leads: its label may say something else."""
    made = MarkdownIt("gfm-like", {"html": False, "linkify": False})
    made.core.ruler.push("plain", _plain)
    return made


def _plain(state: StateCore) -> None:
    """Entities such as `&#27;` have become characters by now."""
    for token in state.tokens:
        if token.children is not None:
            token.children = [_safe(child) for child in _with_addresses(token.children)]
        _safe(token)


def _safe(token: Token) -> Token:
    token.content = plain(token.content)
    token.info = plain(token.info)
    return token


def _with_addresses(tokens: list[Token]) -> Iterator[Token]:
    href, label = "", ""
    for token in tokens:
        if token.type == "link_open":
            href, label = plain(str(token.attrs.get("href", ""))), ""
        elif token.type == "link_close":
            if href and href not in (label, f"mailto:{label}"):
                yield Token("text", "", 0, content=f" ({href})")
        elif token.type == "image":
            address = plain(str(token.attrs.get("src", "")))
            yield Token("text", "", 0, content=f"[image: {token.content} ({address})]" if address else token.content)
            continue
        else:
            label += token.content
        if token.type not in ("link_open", "link_close"):
            yield token


class CodeColours(HighlightTheme):
    """Colours of the theme alone, none of them thinned out, so that its contrast holds."""

    STYLES = {  # noqa: RUF012 - declared so by Textual
        Kind.Comment: "$text-muted italic",
        Kind.Error: "$text-error",
        Kind.Generic.Strong: "bold",
        Kind.Generic.Emph: "italic",
        Kind.Generic.Deleted: "$text-error",
        Kind.Generic.Inserted: "$text-success",
        Kind.Generic.Heading: "$text-primary bold",
        Kind.Keyword: "$text-secondary bold",
        Kind.Keyword.Constant: "$text-warning",
        Kind.Literal.Number: "$text-warning",
        Kind.Literal.String: "$text-success",
        Kind.Name.Attribute: "$text-accent",
        Kind.Name.Builtin: "$text-accent",
        Kind.Name.Class: "$text-primary bold",
        Kind.Name.Decorator: "$text-accent",
        Kind.Name.Function: "$text-primary",
        Kind.Name.Tag: "$text-secondary bold",
        Kind.Operator.Word: "$text-secondary bold",
        Kind.String: "$text-success",
    }


class Fence(MarkdownFence):
    """Code, in the theme's colours."""

    @classmethod
    def highlight(cls, code: str, language: str, ansi: bool = False, dark: bool = False) -> Content:
        return highlight(code, language=language or "text", theme=CodeColours)


class _Cells(MarkdownTableContent):
    """Textual reads the tooltips of cells as its own markup, which an answer must not speak."""

    def compose(self) -> ComposeResult:
        for cell in super().compose():
            cell.tooltip = None
            yield cell


class Table(MarkdownTable):
    """Its cells have no tooltips; when it grows, it is made anew."""

    def compose(self) -> ComposeResult:
        self._headers, self._rows = self._get_headers_and_rows()
        yield _Cells(self._headers, self._rows)

    async def _update_from_block(self, block: MarkdownBlock) -> None:
        await MarkdownBlock._update_from_block(self, block)


class AnswerText(Markdown):
    """Links and images are text: nothing in it can be clicked or is fetched."""

    BLOCKS = {**Markdown.BLOCKS, "fence": Fence, "code_block": Fence, "table_open": Table}  # noqa: RUF012 - likewise

    def __init__(self) -> None:
        super().__init__(parser_factory=parser, open_links=False)
