"""How things fail: one exception with a stable code, the same words as the daemon's."""

from __future__ import annotations

import enum


class Code(enum.IntEnum):
    """Why something was not done. The numbers are those of the wire and never change."""

    OK = 0
    INVALID_ARGUMENT = 1
    NOT_FOUND = 2
    ALREADY_EXISTS = 3
    FAILED_PRECONDITION = 4
    PERMISSION_DENIED = 5
    RESOURCE_EXHAUSTED = 6
    UNAVAILABLE = 7
    DEADLINE_EXCEEDED = 8
    DATA_LOSS = 9
    ABORTED = 10
    UNIMPLEMENTED = 11
    INTERNAL = 12

    @classmethod
    def named(cls, name: object) -> Code:
        """The code of a name as in an ack ("failed_precondition"); an unknown one is INTERNAL."""
        try:
            return cls[str(name).upper()]
        except KeyError:
            return cls.INTERNAL

    @property
    def word(self) -> str:
        """Its name as the daemon writes it."""
        return self.name.lower()


class NudgeError(Exception):
    """Something was not done. `str()` says what was wrong, where, and what to do."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def message(self) -> str:
        """For people."""
        return str(self)
