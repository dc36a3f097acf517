"""What went wrong in a workflow, as it is written down."""

from __future__ import annotations


class Failed(Exception):
    """An error that was raised in a step or ended a workflow: the same when it is met the first time and when
    it is read again. `kind` is the name of its class, `str(error)` its message.
    """

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(message)

    @classmethod
    def of(cls, error: Exception) -> Failed:
        """An error as it will be read again."""
        return error if isinstance(error, cls) else cls(type(error).__name__, str(error))
