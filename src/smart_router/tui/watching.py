"""Keeps an eye on the router, and tells who types what it sees."""

from typing import TYPE_CHECKING

from smart_router.client import BadInput, ClientError
from smart_router.tui.presence import AGAIN_S
from smart_router.tui.screens.line import Line

if TYPE_CHECKING:
    from smart_router.tui.app import ChatApp

KEYLESS = "Without a key this router answers nobody: give one with --key or API_KEY, or send to be asked again."


class Watching:
    """It looks when there is reason to, and again and again while the router is away."""

    def __init__(self, app: "ChatApp") -> None:
        self._app = app

    def look(self) -> None:
        """Is it there, and which sessions has it?"""
        self._app.run_worker(self._look(), group="look", exclusive=True)

    def look_again(self) -> None:
        """If it is away, and nobody is looking."""
        looking = any(worker.group == "look" and not worker.is_finished for worker in self._app.workers)
        if self._app.presence.state == "away" and not looking:
            self.look()

    def failed(self, failure: ClientError) -> None:
        """An exchange has; its turn says how."""
        self._app.presence.failed(failure)
        self._app.refresh_around()
        self._ask_for_key_if_locked()

    async def _look(self) -> None:
        app = self._app
        before = app.presence.state
        await app.presence.look(app.client)
        if app.presence.sessions is not None:
            app.talks.told(app.presence.sessions)
        self._tell(before)
        app.refresh_around()

    def _tell(self, before: str) -> None:
        now, trouble = self._app.presence.state, self._app.presence.trouble
        if now == "away" and before != "away":
            self._app.say(f"{trouble}. It is looked for every {AGAIN_S:g} s.", "error")
        elif now == "connected" and before in ("away", "locked"):
            self._app.say("The router is there.")
        elif now == "connected" and trouble:
            self._app.say(trouble, "warning")
        self._ask_for_key_if_locked()

    def _ask_for_key_if_locked(self) -> None:
        app = self._app
        if app.presence.state != "locked" or len(app.screen_stack) > 1:
            return
        sentence = f"{app.start.url} says: {app.presence.trouble}. The key is kept until you quit, and nowhere else."
        app.push_screen(Line("This router wants a key", sentence, secret=True), self._with_key)

    def _with_key(self, key: str | None) -> None:
        app = self._app
        if not key:
            app.say(KEYLESS)
            return
        try:
            former, app.client = app.client, app.start.connect(key)
        except BadInput as exc:
            app.say(str(exc), "error")
            return
        app.run_worker(former.close())
        self.look()
