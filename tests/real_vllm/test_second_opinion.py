"""The second opinion by a real vLLM: what the protocol promises, whatever its tiny model makes of the question."""

import asyncio
import os
from pathlib import Path

import pytest
from tests.fakes import a_model, a_registry, a_use_case, settings

from smart_router.classify.base import Query
from smart_router.second_opinion import SecondOpinion
from smart_router.upstream.fleet import Fleet

pytestmark = [
    pytest.mark.real_vllm,
    pytest.mark.timeout(120),
    pytest.mark.skipif("REAL_VLLM_AGENT_URL" not in os.environ, reason="needs real vLLM servers: make test-vllm"),
]

ASKED = 100
MODEL = "Qwen/Qwen2.5-7B-Instruct"
NAMES = ("agent", "multimodal", "video", "stt", "tts", "avatar")


@pytest.mark.usefixtures("bare_environment")
async def test_a_real_vllm_answers_with_one_of_the_use_cases_and_always_with_the_same(tmp_path: Path) -> None:
    model = a_model(MODEL, os.environ["REAL_VLLM_AGENT_URL"])
    registry = a_registry(model, use_cases=[a_use_case(name, MODEL, examples="x.yaml") for name in NAMES])
    chosen = settings(llm_classifier_model=MODEL, llm_classifier_timeout=60)
    fleet = Fleet(registry, chosen)
    await fleet.start()
    try:
        second = SecondOpinion(fleet, registry, chosen)
        found = [await second.on(Query("let me hear that in a calm voice"), NAMES) for _ in range(ASKED)]
    finally:
        await asyncio.wait_for(fleet.close(), 10)
    assert set(found) <= set(NAMES)
    assert len(set(found)) == 1
