"""`smart-router chat`: a conversation in the terminal; a client over HTTP."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smart_router.cli.calling import DEFAULT_URL
from smart_router.cli.failing import CONFIGURATION, fail

if TYPE_CHECKING:
    from smart_router.tui.start import Start
    from smart_router.tui.theme_files import Found

Url = Annotated[str, typer.Option(help="The router's address.", envvar="SMART_ROUTER_URL")]
Key = Annotated[str | None, typer.Option(help="Its key; the chat asks for one where it is needed.", envvar="API_KEY")]
Session = Annotated[str | None, typer.Option(help="Go on with this session.")]
ThemeName = Annotated[str | None, typer.Option("--theme", help="night, ember, paper, mist, terminal, or one of yours.")]
ThemeFile = Annotated[Path | None, typer.Option(help="A theme of your own, in YAML or TOML; it is used at once.")]
MaxTokens = Annotated[int, typer.Option(help="The longest answer.", min=1, max=131_072)]


def chat(
    url: Url = DEFAULT_URL,
    key: Key = None,
    session: Session = None,
    theme: ThemeName = None,
    theme_file: ThemeFile = None,
    max_tokens: MaxTokens = 1024,
) -> None:
    """
    Talk to the router, and see where each message went.

    Type / for commands, F1 for help, Ctrl+Q to leave. Exit codes: 0 left, 2 it could not begin.

    Example: smart-router chat --session holidays --theme paper
    """
    _check_terminal()
    try:
        from smart_router.tui.app import ChatApp
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] not in ("textual", "markdown_it"):
            raise
        fail("the chat needs textual: pip install 'smart-router[tui]'", CONFIGURATION)
    app = ChatApp(_start(url, key, session, theme, theme_file, max_tokens))
    app.run()
    raise typer.Exit(app.return_code or 0)


def _check_terminal() -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        fail("chat needs a terminal; without one, use `smart-router route QUERY`", CONFIGURATION)
    if os.environ.get("TERM", "") in ("", "dumb"):
        fail("this terminal (TERM) cannot place text; use `smart-router route QUERY`", CONFIGURATION)


def _start(
    url: str, key: str | None, session: str | None, theme: str | None, theme_file: Path | None, max_tokens: int
) -> "Start":
    from smart_router.client import AsyncClient, BadInput
    from smart_router.tui.names import Names
    from smart_router.tui.places import names_file
    from smart_router.tui.start import Start
    from smart_router.tui.talks import SESSION_ID
    from smart_router.tui.themes import DEFAULT

    if session is not None and not SESSION_ID.fullmatch(session):
        fail("--session: must be 1 to 128 letters, digits and . _ : @ ~ + = -", CONFIGURATION)
    found = _themes(theme, theme_file)
    try:
        AsyncClient(url, key)
    except BadInput as exc:
        fail(str(exc), CONFIGURATION)
    return Start(
        connect=lambda key: AsyncClient(url, key),
        url=url,
        key=key,
        session=session,
        theme=theme or (found.themes[-1].name if theme_file else DEFAULT),
        themes=found.themes,
        troubles=found.troubles,
        names=Names(names_file()),
        max_tokens=max_tokens,
    )


def _themes(wanted: str | None, file: Path | None) -> "Found":
    """Those of the folder and of *file*, which comes last; ends the command where what is *wanted* is not there."""
    from smart_router.tui.places import themes_folder
    from smart_router.tui.theme_files import BadTheme, Found, read_file, read_folder
    from smart_router.tui.themes import THEMES

    found = read_folder(themes_folder())
    try:
        own = read_file(file) if file else Found((), ())
    except BadTheme as exc:
        fail(str(exc), CONFIGURATION)
    found = Found((*found.themes, *own.themes), (*found.troubles, *own.troubles))
    names = [theme.name for theme in (*THEMES, *found.themes)]
    if wanted is not None and wanted not in names:
        troubles = "".join(f"; {trouble}" for trouble in found.troubles)
        fail(f"--theme: there is no theme {wanted}; there are {', '.join(names)}{troubles}", CONFIGURATION)
    return found
