"""Load tests: users that hold conversations with a router, shapes of load, gates, and the report. See README.md."""
