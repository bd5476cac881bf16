"""What the application hands in with a call: callback and input specs (spec/newton.md 3)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from rescind.actors.runtime import on_loop

from ._codes import Code
from ._errors import CommError

if TYPE_CHECKING:
    from ._api import Endpoint

CompletionScriptFunction: TypeAlias = Callable[["Endpoint", Any, int | None], object]
"""Called as ``script(endpoint, options, result)``; result None is success, else a code."""


@dataclass(slots=True)
class CallbackSpec:
    """How to run a request and whom to tell (3.1).

    ``asynchronous`` and ``timeout_s`` are read at the call; ``completion_script`` is read when it
    is to be called, so it may still be replaced.  Synchronous calls never call it.  A coroutine
    function is started as a task of the loop that runs when the spec is made.
    """

    asynchronous: bool = False
    timeout_s: float | None = None
    completion_script: CompletionScriptFunction | None = None

    def __post_init__(self) -> None:
        """Bind a coroutine function to its loop."""
        if self.completion_script is not None:
            self.completion_script = on_loop(self.completion_script)


@dataclass(frozen=True, slots=True)
class Termination:
    """When received data is complete: after so many bytes, or at one of these sequences."""

    byte_count: int | None = None
    end_sequence: bytes | str | None = None


@dataclass(frozen=True, slots=True)
class Terminator:
    """What ended one piece of input: ``byteCount`` or ``endSequence``, and how many bytes."""

    condition: str
    byte_count: int


InputScriptFunction: TypeAlias = Callable[["Endpoint", Any, Terminator | None, Any], object]
"""Called as ``script(endpoint, data, terminator, options)``."""

DISCARD_AFTER = 1024


@dataclass(slots=True)
class InputSpec:
    """What to receive, until when, and whom to tell (3.3).

    ``form`` is ``string`` (decoded as UTF-8) or ``bytes``.  ``timeout_s`` counts inactivity: it
    starts again with every arrival of data.  Without a termination nothing completes a piece by
    itself.  Of what waits for its end at most the newest ``discard_after`` bytes are kept.
    """

    input_script: InputScriptFunction | None = None
    completion_script: CompletionScriptFunction | None = None
    form: str = "string"
    termination: Termination | None = None
    discard_after: int = DISCARD_AFTER
    timeout_s: float | None = None

    def __post_init__(self) -> None:
        """Bind coroutine functions to their loop."""
        self.input_script = on_loop(self.input_script)
        self.completion_script = on_loop(self.completion_script)


def timeout_ns(timeout_s: float | None) -> int | None:
    """Return a time-out in the log's unit; None and 0 mean none (kNoTimeout).

    Raises:
        CommError: -16006 for a negative or endless time.
    """
    if timeout_s is None or timeout_s == 0:
        return None
    is_time = isinstance(timeout_s, int | float)  # pyright: ignore[reportUnnecessaryIsInstance]
    if not is_time or not 0 < timeout_s < _TIMEOUT_S_MAX:
        raise CommError(Code.BAD_PARAMETER, detail=f"a time-out of {timeout_s!r} s")
    return round(timeout_s * 1e9)


_TIMEOUT_S_MAX = 100 * 365 * 86400.0
"""A century: what is longer is a mistake, and would not fit the log's numbers for ever."""
