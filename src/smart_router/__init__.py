"""smart-router: session-aware smart routing for LLM serving."""

__version__ = "0.1.0"
