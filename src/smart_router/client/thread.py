"""What a conversation remembers between its turns. No I/O."""

from smart_router.client.answers import Decision
from smart_router.client.calls import Fields
from smart_router.client.errors import BadInput


class Thread:
    """
    A session's thread of turns.

    Attributes:
        id: of the session; None before the first answer.
        turns: how many were answered.
        began_anew: with the last answer the session began anew, as it had expired, or was ended elsewhere: the model
            has not seen what was said before.
    """

    def __init__(self, id: str | None = None) -> None:
        self.id = id
        self.turns = 0
        self.began_anew = False

    def known(self) -> str:
        """
        The session's id.

        Raises:
            BadInput: nothing was answered yet, so there is none.
        """
        if self.id is None:
            raise BadInput("this conversation has no session yet; it begins with the first answer")
        return self.id

    def with_session(self, fields: Fields) -> Fields:
        if "session_id" in fields:
            raise BadInput("session_id: a conversation has its own; leave it out, or use another conversation")
        return {**fields, "session_id": self.id}

    def learn(self, decision: Decision) -> None:
        """A turn was decided."""
        self.began_anew = decision.new_session and self.turns > 0
        self.id = decision.session_id
        self.turns += 1

    def forget(self) -> None:
        """The session is over: the next turn begins another."""
        self.id, self.turns, self.began_anew = None, 0, False
