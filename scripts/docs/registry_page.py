"""docs/reference/registry.md: every key that the registry may have."""

import re

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from scripts.docs.fields import allowed, default
from scripts.docs.markdown import first_paragraph, introduction, meanings, table
from smart_router.registry import Defaults, Denied, Group, Lora, Model, Policy, Process, RegistryFile, UseCase

# Each part, its title here, the way to it in the file, and what it is where its docstring speaks to others.
PARTS: tuple[tuple[type[BaseModel], str, str, str], ...] = (
    (RegistryFile, "The file", "", "Its keys at the top."),
    (Defaults, "Defaults", "defaults", "What a request gets that does not say."),
    (Model, "A model", "models[]", ""),
    (Process, "The process of a model", "models[].process", ""),
    (Lora, "An adapter", "models[].lora", ""),
    (Group, "A group", "groups.NAME", "GPUs that its models share."),
    (UseCase, "A use case", "use_cases[]", "Something that queries want."),
    (Policy, "A policy", "defaults.policy, use_cases[].policy", "See [security](../security.md#policy)."),
    (Denied, "A denied text", "defaults.policy.deny[], use_cases[].policy.deny[]", ""),
)
_TITLES = {part.__name__: title for part, title, *_ in PARTS}


def registry_page() -> str:
    return "\n".join([introduction("registry"), *(_part(*part) for part in PARTS)])


def _part(part: type[BaseModel], title: str, place: str, told: str) -> str:
    said = meanings(part)
    rows = [
        (f"`{name}`", default(field), _allowed(field), said.get(name, "")) for name, field in part.model_fields.items()
    ]
    where = f"At {' and '.join(f'`{one}`' for one in place.split(', '))}." if place else ""
    about = " ".join(filter(None, (where, (told or first_paragraph(part)).replace("*", "`"))))
    return f"## {title}\n\n{about}\n\n{table(('key', 'default', 'allowed', 'meaning'), rows)}"


def _allowed(field: FieldInfo) -> str:
    """With other parts under their titles here."""
    return re.sub(r"\[(\w+)\]\(#\w+\)", lambda found: _linked(_TITLES[found[1]]), allowed(field))


def _linked(title: str) -> str:
    return f"[{title.lower()}](#{title.lower().replace(' ', '-')})"
