"""Puts a question to the router; its turn tells how far the answer is."""

from asyncio import CancelledError
from collections.abc import AsyncIterator, Callable

from smart_router.client import AsyncClient, AsyncRouteStream, ClientError
from smart_router.tui.plain import plain
from smart_router.tui.sentences import sentence
from smart_router.tui.talks import Talk
from smart_router.tui.turns import Turn

MOST_TEXT = 1_000_000  # characters of an answer that are shown

FORGOTTEN = (
    "The router did not know this session any more: it expired, or was ended elsewhere. "
    "This answer was given without what was said before."
)

Clock = Callable[[], float]  # seconds
Changed = Callable[[], None]


class Asking:
    """One exchange, of *turn* in *talk*."""

    def __init__(self, talk: Talk, turn: Turn, clock: Clock, changed: Changed) -> None:
        self._talk = talk
        self._turn = turn
        self._clock = clock
        self._changed = changed
        self.failure: ClientError | None = None

    async def run(self, client: AsyncClient, max_tokens: int) -> None:
        """
        Until the answer is whole, has failed (`failure` says how) or is cancelled; the turn is over then.

        Raises:
            CancelledError: it was stopped here.
        """
        turn, began = self._turn, self._clock()
        try:
            async with client.stream(
                turn.question,
                session_id=self._talk.id,
                attachments=[file.attachment for file in turn.attached] or None,
                use_case=turn.use_case,
                max_tokens=max_tokens,
            ) as stream:
                self._decided(stream)
                await self._listen(stream, began)
            turn.answer = stream.answer
            turn.state = "done"
        except ClientError as exc:
            turn.state, turn.trouble, self.failure = "failed", sentence(exc), exc
        except CancelledError:
            turn.state = "stopped"
            raise
        finally:
            turn.total_s = self._clock() - began
            self._changed()

    def _decided(self, stream: AsyncRouteStream) -> None:
        turn, talk = self._turn, self._talk
        turn.decision, turn.state = stream.decision, "answering"
        if turn.decision.new_session and talk.known_to_router:
            turn.notes.append(FORGOTTEN)
        talk.asked += 1
        self._changed()

    async def _listen(self, words: AsyncIterator[str], began: float) -> None:
        turn = self._turn
        async for word in words:
            if turn.first_token_s is None:
                turn.first_token_s = self._clock() - began
            turn.text = (turn.text + plain(word))[:MOST_TEXT]
            self._changed()
