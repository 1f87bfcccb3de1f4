"""Is what is wrong with a request said so that a person can act on it?"""

from smart_router.doctor import refusals
from smart_router.doctor.checks.key import NOT_A_QUERY
from smart_router.doctor.deployment import Answer, Deployment
from smart_router.doctor.finding import Finding, failed, passed

NAME = "errors"
REPLACED = (
    "does a proxy in front put its own pages in place of errors (nginx: proxy_intercept_errors off)? Else update the "
    "router: docs/deployment.md#updating"
)
NO_PATH = "/doctor/asks/for/nothing"
NO_MODEL = {"model": "doctor-asks-for-no-model", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}


async def check(there: Deployment) -> list[Finding]:
    """Three requests that are wrong; none reaches a model."""
    (field,) = NOT_A_QUERY
    unknown_field = await there.post("/route", NOT_A_QUERY)
    unknown_path = await there.get(NO_PATH)
    unknown_model = await there.post("/v1/chat/completions", NO_MODEL)
    return [
        _judged("unknown field", unknown_field, 400, "bad_request", field),
        _judged("unknown path", unknown_path, 404, "not_found", NO_PATH),
        _judged("unknown model", unknown_model, 404, "model_not_found", NO_MODEL["model"]),
    ]


def _judged(what: str, answer: Answer, status: int, code: str, names: object) -> Finding:
    if answer.status == 429:
        return failed(f"{NAME}: {what}", refusals.seen(answer), refusals.advice(answer))
    if (answer.status, answer.code) != (status, code):
        seen = f"{answer.status} {answer.code or 'without a code'}, not {status} {code}: {answer.told}"
        return failed(f"{NAME}: {what}", seen, REPLACED)
    if str(names) not in answer.told:
        return failed(f"{NAME}: {what}", f"{status} {code} without the name of what is wrong: {answer.told}", REPLACED)
    return passed(f"{NAME}: {what}", f"{status}, and says which")
