"""
Checks a deployment from outside, over HTTP alone, for little: a few tokens per use case, and no session stays.

A check is a line here and a file in `checks/`. It comes after those that it needs.
"""

from smart_router.doctor import refusals
from smart_router.doctor.checks import (
    backends,
    clock,
    deciding,
    door,
    follow_up,
    key,
    latency,
    metrics,
    models,
    protection,
    reachable,
    ready,
    redis,
    refusing,
    route,
    router,
    streaming,
    use_cases,
    versions,
)
from smart_router.doctor.examination import Check

CHECKS = (
    Check(reachable.NAME, reachable.check, reachable.START),
    Check(router.NAME, router.check, router.OTHER, needs=(reachable.NAME,)),
    Check(ready.NAME, ready.check, refusals.SERVER, needs=(router.NAME,)),
    Check(backends.NAME, backends.check, models.OLD, needs=(router.NAME,)),
    Check(deciding.NAME, deciding.check, models.OLD, needs=(router.NAME,)),
    Check(redis.NAME, redis.check, models.OLD, needs=(router.NAME,)),
    Check(key.NAME, key.check, refusals.GATEWAY, needs=(router.NAME,)),
    Check(door.NAME, door.check, refusals.GATEWAY, needs=(router.NAME,)),
    Check(models.NAME, models.check, models.OLD, needs=(key.NAME,)),
    Check(use_cases.NAME, use_cases.check, models.OLD, needs=(router.NAME,)),
    Check(refusing.NAME, refusing.check, refusing.REPLACED, needs=(key.NAME,)),
    Check(route.NAME, route.check, refusals.SLOW, needs=(key.NAME, use_cases.NAME), answers=route.ROUNDS),
    Check(follow_up.NAME, follow_up.check, refusals.SLOW, needs=(route.NAME,), answers=2),
    Check(latency.NAME, latency.check, models.OLD, needs=(follow_up.NAME,), answers=1),
    Check(streaming.NAME, streaming.check, refusals.SLOW, needs=(route.NAME,), answers=streaming.TRIES),
    Check(metrics.NAME, metrics.check, metrics.KEPT_INSIDE, needs=(router.NAME,)),
    Check(clock.NAME, clock.check, models.OLD, needs=(router.NAME,)),
    Check(versions.NAME, versions.check, versions.UNTOLD, needs=(router.NAME,)),
    Check(protection.NAME, protection.check, refusals.GATEWAY, needs=(router.NAME,)),
)
# Without these there is no router, and nothing else to be said.
FIRST = (reachable.NAME, router.NAME)
