"""Which beginnings of prompts are still in the simulated KV cache."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence

BLOCK_TOKENS = 16  # vLLM's default; only whole blocks are found again


class PrefixCache:
    """Remembers the blocks of past prompts, the longest unused ones leave first."""

    def __init__(self, capacity_tokens: int) -> None:
        self._capacity = capacity_tokens // BLOCK_TOKENS
        self._blocks: OrderedDict[int, None] = OrderedDict()

    def look_up(self, prompt: Sequence[str]) -> int:
        """How many tokens of *prompt*'s beginning are cached; from now on, all its whole blocks are."""
        cached, unbroken = 0, True
        for block in _chained(prompt):
            unbroken = unbroken and block in self._blocks
            cached += BLOCK_TOKENS * unbroken
            self._blocks[block] = None
            self._blocks.move_to_end(block)
        self._trim()
        return cached

    def clear(self) -> None:
        self._blocks.clear()

    def _trim(self) -> None:
        while len(self._blocks) > self._capacity:
            self._blocks.popitem(last=False)


def _chained(prompt: Sequence[str]) -> Iterator[int]:
    """One number per whole block, which stands for the block and all before it."""
    chain = 0
    for start in range(0, len(prompt) - BLOCK_TOKENS + 1, BLOCK_TOKENS):
        chain = hash((chain, *prompt[start : start + BLOCK_TOKENS]))
        yield chain
