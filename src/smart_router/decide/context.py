"""
Was a prompt cut to fit the context? Ollama does so without a word; only the count of tokens tells.

Its runner logs "truncating input prompt limit=2050 prompt=8707 keep=4 new=2050" with a context of 4096 tokens: it keeps
the first few (`num_keep`, 4 unless the model says otherwise) and half of the rest (github.com/ollama/ollama, issue
17427). Older ones cut to the whole context. What goes before that, message by message, leaves no trace.
"""

KEPT = 4  # tokens, where a model has no num_keep


def looks_cut(prompt_tokens: int, context: int, kept: int = KEPT) -> bool:
    """Whether a prompt that was counted as *prompt_tokens* is what is left of a longer one in *context* tokens."""
    return prompt_tokens >= context or prompt_tokens == kept + (context - kept) // 2
