"""What the simulated model says: what it got, so that one sees what arrived. The same request, the same words."""

import json
import re
import zlib
from collections.abc import Sequence

from smart_router.simulate.conversation import Conversation
from smart_router.simulate.media import Sound


def to_chat(model_id: str, conversation: Conversation, choice: int) -> str:
    """`[simulated Qwen/Qwen2.5-7B-Instruct] You said: Hello. (3 earlier messages, 1 image attached)`"""
    said = _sentence(conversation.question)
    notes = _notes(conversation, choice)
    return f"[simulated {model_id}] You said: {said}" + (f" ({', '.join(notes)})" if notes else "")


def to_chat_as_json(model_id: str, conversation: Conversation, choice: int) -> str:
    answer = {"simulated": True, "model": model_id, "you_said": conversation.question}
    return json.dumps(answer | {"notes": _notes(conversation, choice)}, ensure_ascii=False)


def to_choices(conversation: Conversation, choices: Sequence[str]) -> str:
    """The first of *choices* that the question names, else one that depends on its words alone."""
    question = conversation.question
    named = (choice for choice in choices if re.search(rf"\b{re.escape(choice)}\b", question, re.IGNORECASE))
    return next(named, choices[zlib.crc32(question.encode()) % len(choices)])


def to_prompt(model_id: str, prompt: str, choice: int) -> str:
    which = f" (choice {choice + 1})" if choice else ""
    return f" [simulated {model_id}] continues: {_sentence(prompt)}{which}"


def to_sound(model_id: str, sound: Sound, task: str) -> str:
    return f" [simulated {model_id}] This {task} stands for a file of {sound}."


def _notes(conversation: Conversation, choice: int) -> list[str]:
    notes = []
    if earlier := len(conversation.messages) - 1:
        notes.append(f"{_counted(earlier, 'earlier message')}")
    notes += [f"{_counted(count, kind)} attached" for kind, count in conversation.attached.items()]
    if choice:
        notes.append(f"choice {choice + 1}")
    return notes


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?", "।")) else f"{text}."


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count != 1 else ''}"
