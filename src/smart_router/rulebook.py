"""Which rules of an operator's apply to a request, and what becomes of it."""

import asyncio
from collections.abc import Mapping, Sequence

from smart_router.decide import policy
from smart_router.errors import PolicyRefused
from smart_router.registry import Registry
from smart_router.rules import ready
from smart_router.types import Ask, Rules, Wants

AT_ONCE = 8192  # bytes of text beyond which a search does not hold up the other requests


class Rulebook:
    """The registry's rules; a caller's own come with the request."""

    def __init__(self, registry: Registry) -> None:
        everybodys = ready(registry.defaults.policy, "defaults.policy.")
        own = (ready(u.policy, f"use_cases[{i}].policy.") for i, u in enumerate(registry.use_cases.values()))
        self._of: Mapping[str, Rules | None] = {
            use_case: None if rules is None and everybodys is None else policy.strictest(everybodys, rules)
            for use_case, rules in zip(registry.use_cases, own, strict=True)
        }
        self._all = policy.strictest(*self._of.values())

    def alike(self, use_cases: Sequence[str]) -> bool:
        """The same rules apply to all of them."""
        return all(self._of[use_case] == self._of[use_cases[0]] for use_case in use_cases)

    def on(self, ask: Ask, use_case: str) -> Rules | None:
        """What applies to *ask* if it is for *use_case*."""
        rules, theirs = self._of[use_case], None if ask.grant is None else ask.grant.rules
        return rules if theirs is None else policy.strictest(rules, theirs)

    async def sure_to_pass(self, ask: Ask) -> bool:
        """Whatever its use case will be."""
        rules = policy.strictest(self._all, None if ask.grant is None else ask.grant.rules)
        if rules == policy.NO_RULES or ask.wants is None:
            return True
        try:
            await applied(rules, ask.wants)
        except PolicyRefused:
            return False
        return True


async def applied(rules: Rules, wants: Wants) -> int | None:
    """
    The tokens to ask for in place of a client that leaves it open; None: nothing is to be filled in.

    Raises:
        PolicyRefused: a rule is broken.
        BadRequest: what is wanted cannot be read.
    """
    if rules.deny and wants.size > AT_ONCE:
        return await asyncio.to_thread(_passed, rules, wants)
    return _passed(rules, wants)


def _passed(rules: Rules, wants: Wants) -> int | None:
    wish = wants.wish(texts=bool(rules.deny))
    refused = policy.refusal(rules, wish)
    if refused is not None:
        raise PolicyRefused(refused.message, refused.rule, refused.field)
    return policy.filled(rules, wish)
