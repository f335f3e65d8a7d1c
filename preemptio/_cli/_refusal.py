"""Refusal: the way from anywhere in a command to one line on standard error. No traceback: the user is not us."""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818 - not a bug: what was asked for cannot be done
    """What is wrong and what to type next, in one line, with the exit status that it ends in."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status
