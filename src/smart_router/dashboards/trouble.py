"""What can go wrong with dashboards."""


class Trouble(Exception):
    """The message says what to do about it."""
