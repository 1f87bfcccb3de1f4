"""Opens, names and ends sessions."""

from typing import TYPE_CHECKING

from smart_router.client import ClientError, UnknownSession
from smart_router.tui.plain import one_line
from smart_router.tui.screens.choice import Choice
from smart_router.tui.screens.line import Line
from smart_router.tui.talks import SESSION_ID, Talk

if TYPE_CHECKING:
    from smart_router.tui.app import ChatApp

KEEP, END = "Keep it", "End it"


class Sessions:
    """What is typed and attached in one, and not sent, waits there."""

    def __init__(self, app: "ChatApp") -> None:
        self._app = app

    async def open(self, talk: Talk) -> None:
        app = self._app
        app.talk.draft, app.talk = app.prompt.text, talk
        app.talks.use(talk)
        app.prompt.put(talk.draft)
        await app.transcript.show(talk)
        app.refresh_around()
        app.leave_list()

    async def new(self, name: str = "") -> None:
        talk = self._app.talks.begin(self._app.start.new_id())
        if name:
            self.rename(talk, name)
        await self.open(talk)

    async def open_named(self, named: str) -> None:
        """By id or name; what nobody has is begun, with that as its id if it can be one."""
        talk = self._app.talks.find(named)
        if talk is None and not SESSION_ID.fullmatch(named):
            await self.new(named)
        else:
            await self.open(talk or self._app.talks.begin(named))

    def rename(self, talk: Talk, name: str) -> None:
        talk.name = one_line(name)
        try:
            self._app.start.names.give(talk.id, talk.name)
        except OSError as exc:
            self._app.say(f"the name holds until you quit; it could not be written down: {exc}", "warning")
        self._app.refresh_around()

    def ask_for_name(self, talk: Talk) -> None:
        def named(name: str | None) -> None:
            if name:
                self.rename(talk, name)

        self._app.push_screen(Line("Name this session", f"It is {talk.title} now.", talk.name), named)

    def ask_to_end(self, talk: Talk) -> None:
        def answered(chosen: str | None) -> None:
            if chosen == END:
                self._app.run_worker(self._end(talk))

        sentence = f"{talk.title}: the router forgets what was said in it, and it goes from the list."
        self._app.push_screen(Choice("End this session?", sentence, [KEEP, END], KEEP), answered)

    async def _end(self, talk: Talk) -> None:
        app = self._app
        app.answering.stop(talk)
        try:
            await app.client.end_session(talk.id)
        except UnknownSession:
            pass  # never begun, expired, or ended elsewhere: it is what was wanted
        except ClientError as exc:
            app.say(f"{talk.title} was not ended: {exc}", "error")
            return
        app.talks.drop(talk)
        app.start.names.forget(talk.id)
        if talk is app.talk:
            await self.new()
        app.say(f"Ended {talk.title}.")
        app.watching.look()
