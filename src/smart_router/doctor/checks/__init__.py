"""One thing that can be wrong per file: each looks, says what it saw, and what to do next."""
