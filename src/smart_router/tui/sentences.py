"""What went wrong, in a sentence for who types here, with what to do next."""

from smart_router.client import ClientError, NotARouter, RouterRefused, RouterUnreachable, StreamBroken


def sentence(exc: ClientError) -> str:
    """For an exchange that failed: what was asked is in the input again."""
    match exc:
        case StreamBroken():
            return _broken(exc)
        case NotARouter():
            return f"{exc}. Your message is back in the input."
        case RouterUnreachable():
            return f"{exc}. Your message is back in the input; Enter sends it again once the router is there."
        case RouterRefused(status=401 | 403):
            return f"{exc.message}. Your message is back in the input."
        case RouterRefused(retry_after_s=float() as seconds):
            return f"{exc.message}. Your message is back in the input: send it again in {seconds:g} s."
        case _:
            return f"{exc}. Your message is back in the input, to be changed or sent again."


def _broken(exc: StreamBroken) -> str:
    why = f"the router says: {exc.refusal.message}" if exc.refusal else "the connection was lost"
    kept = f"after {len(exc.text_so_far)} characters, which stay here" if exc.text_so_far else "before its first word"
    return f"The answer broke off {kept}: {why}. Your message is back in the input: Enter asks again."
