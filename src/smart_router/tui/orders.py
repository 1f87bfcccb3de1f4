"""Carries out the commands that begin with a slash."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from smart_router.client import BadInput, Classification, ClientError
from smart_router.tui.attaching import MOST, attached, paths
from smart_router.tui.commands import Arguments, Order
from smart_router.tui.explaining import why_text
from smart_router.tui.screens.reading import Reading
from smart_router.tui.turns import Turn

if TYPE_CHECKING:
    from smart_router.tui.app import ChatApp

AUTO = "auto"
NONE = "none"


class Orders:
    """Each does what its line in `COMMANDS` says."""

    def __init__(self, app: "ChatApp") -> None:
        self._app = app
        self._by_name: dict[str, Callable[[str], Awaitable[None]]] = {
            "help": self._help,
            "new": app.sessions.new,
            "session": self._session,
            "rename": self._rename,
            "end": self._end,
            "use-case": self._use_case,
            "attach": self._attach,
            "why": self._why,
            "theme": self._theme,
            "clear": self._clear,
            "quit": self._quit,
        }
        self.arguments: dict[str, Arguments] = {
            "session": lambda begun: _beginning(begun, [talk.name or talk.id for talk in app.talks]),
            "use-case": lambda begun: _beginning(begun, [*(case.id for case in app.presence.use_cases), AUTO]),
            "attach": paths,
            "theme": lambda begun: _beginning(begun, app.theme_names),
        }

    async def carry_out(self, order: Order) -> None:
        await self._by_name[order.name](order.argument)

    async def _help(self, _: str) -> None:
        self._app.action_help()

    async def _session(self, named: str) -> None:
        if named:
            await self._app.sessions.open_named(named)
        else:
            self._app.action_sessions()

    async def _rename(self, name: str) -> None:
        sessions, talk = self._app.sessions, self._app.talk
        if name:
            sessions.rename(talk, name)
        else:
            sessions.ask_for_name(talk)

    async def _end(self, _: str) -> None:
        self._app.sessions.ask_to_end(self._app.talk)

    async def _use_case(self, id: str) -> None:
        app, known = self._app, [case.id for case in self._app.presence.use_cases]
        if id in ("", AUTO):
            app.talk.use_case = None
            app.say("The router decides where messages go.")
        elif known and id not in known:
            app.say(f"{id} is no use case of this router; there are {', '.join(known)}, and {AUTO}", "error")
        else:
            app.talk.use_case = id
            app.say(f"What you send in this session goes to {id}, until /use-case {AUTO}.")
        app.refresh_around()

    async def _attach(self, named: str) -> None:
        if not named:
            self._app.action_attach()
        elif named == NONE:
            self._app.talk.pending = ()
            self._app.refresh_around()
        else:
            await self.attach(named)

    async def attach(self, named: str) -> None:
        """A file or a link, to the next message of the session that is open."""
        app, talk = self._app, self._app.talk
        if len(talk.pending) >= MOST:
            app.say(f"{MOST} files are attached already; send them, or take them away with /attach {NONE}", "error")
            return
        try:
            talk.pending = (*talk.pending, await asyncio.to_thread(attached, named))
        except BadInput as exc:
            app.say(str(exc), "error")
        app.refresh_around()

    async def _why(self, _: str) -> None:
        turn = self._app.talk.latest
        if turn is None or turn.decision is None:
            self._app.say("Nothing was decided in this session yet: send something first.", "warning")
            return
        text = why_text(turn, turn.decision, await self._asked_again(turn))
        self._app.push_screen(Reading("Why", text))

    async def _asked_again(self, turn: Turn) -> Classification | str:
        attachments = [file.attachment for file in turn.attached] or None
        try:
            return await self._app.client.classify(turn.question, session_id=self._app.talk.id, attachments=attachments)
        except ClientError as exc:
            return f"The scores cannot be had: {exc}"

    async def _theme(self, name: str) -> None:
        app = self._app
        if not name:
            app.action_theme()
        elif name in app.theme_names:
            app.theme = name
        else:
            app.say(f"there is no theme {name}; there are {', '.join(app.theme_names)}", "error")

    async def _clear(self, _: str) -> None:
        await self._app.action_clear()

    async def _quit(self, _: str) -> None:
        await self._app.action_quit()


def _beginning(begun: str, known: Sequence[str]) -> Sequence[str]:
    return [name for name in known if name.startswith(begun)]
