"""Which models will likely be asked soon, and by which sessions. Moments of any clock, in seconds."""

FORESEEN_S = 30.0  # whoever has not gone on by then reads, or has gone: what is awake for it is awake in vain


class Expected:
    """Bounded by the sessions of the last `FORESEEN_S`, for models that `expects` is asked for now and then."""

    def __init__(self) -> None:
        self._until: dict[str, dict[str, float]] = {}  # by model, then by session, the latest at the end

    def expect(self, session: str, model: str, now: float) -> None:
        """*session* will likely ask *model*."""
        sessions = self._until.setdefault(model, {})
        sessions.pop(session, None)
        sessions[session] = now + FORESEEN_S

    def came(self, session: str, model: str) -> None:
        """It did."""
        if sessions := self._until.get(model):
            sessions.pop(session, None)

    def expects(self, model: str, now: float) -> bool:
        """Some session will likely ask *model* soon."""
        sessions = self._until.get(model)
        while sessions and sessions[first := next(iter(sessions))] <= now:
            del sessions[first]
        return bool(sessions)

    def give_up(self, model: str) -> None:
        """Nobody who was expected so far counts."""
        self._until.pop(model, None)

    def keep(self, models: frozenset[str]) -> None:
        """Forget all others: the registry has changed."""
        for gone in self._until.keys() - models:
            del self._until[gone]
