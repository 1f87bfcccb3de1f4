"""Measures a deployment over HTTP, as a client sees it: streamed conversations of a first turn and a follow-up."""
