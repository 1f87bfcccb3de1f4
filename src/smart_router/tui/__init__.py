"""The chat in a terminal: `smart-router chat`. A client over HTTP, of the extra `tui`."""
