"""The scripted twin: a tool without an outside, whose every answer a test decides.

It keeps the contract of the real tools: answers only for what it was asked, in the order of each
channel, and ``killed`` after everything.  By default control operations succeed at once and Outputs
and receives stay outstanding.
"""

from collections.abc import Sequence
from typing import Any

from rescind.actors.newton._protocol import OPERATIONS, Channel

from ._tool import Port

ANSWERED_AT_ONCE = frozenset({"Bind", "UnBind", "Connect", "Listen", "Accept", "Disconnect"})


class TwinTool:
    """A tool in the hand of a test.

    Attributes:
        pending: what was asked for and has no answer yet, by request number.
        performed: everything that was ever asked for, in order, as (request, operation,
            arguments).
        kills: the cancels that were asked for, in order.
    """

    def __init__(
        self,
        label: str = "twin",
        *,
        at_once: frozenset[str] = ANSWERED_AT_ONCE,
        holds_kills: bool = False,
    ) -> None:
        """Begin with nothing outstanding.

        Args:
            label: the tool's name in logs.
            at_once: operations that succeed as soon as they are asked for.
            holds_kills: leave ``killed`` to ``finish_kill``.
        """
        self.label = label
        self.at_once = at_once
        self.holds_kills = holds_kills
        self.pending: dict[int, tuple[int, str, Sequence[Any]]] = {}
        self.performed: list[tuple[int, str, Sequence[Any]]] = []
        self.kills: list[int] = []
        self.is_open = False

    def open(self, port: Port) -> None:
        """Serve the endpoint behind ``port``."""
        self.port = port
        self.is_open = True

    def perform(self, request: int, operation: str, arguments: Sequence[Any]) -> None:
        """Note what is asked for; answer at once what is to be answered at once."""
        asked = (request, operation, arguments)
        self.performed.append(asked)
        if operation in self.at_once:
            self.port.answer(request, None)
        elif request:
            self.pending[request] = asked

    def kill(self, cancel: int, operations: frozenset[str]) -> None:
        """Forget what is pending of these operations, and say so unless kills are held."""
        self.kills.append(cancel)
        if len(operations) == len(OPERATIONS):
            self.pending.clear()
        else:
            for request in [n for n, asked in self.pending.items() if asked[1] in operations]:
                del self.pending[request]
        if not self.holds_kills:
            self.finish_kill()

    def close(self) -> None:
        """Stop."""
        self.is_open = False
        self.pending.clear()

    # --- what the test says ----------------------------------------------------------------------

    def finish_kill(self, code: int | None = None) -> None:
        """Report that the last kill has stopped everything, or failed with ``code``."""
        self.port.killed(self.kills[-1], code, {})

    def complete(self, request: int, code: int | None = None, value: Any = None) -> None:
        """Answer a request, also one that is not pending any more (too late)."""
        self.pending.pop(request, None)
        self.port.answer(request, code, value)

    def complete_next(self, channel: Channel = Channel.PUT, code: int | None = None) -> int:
        """Answer the oldest pending request of a channel; returns its number."""
        for request, operation, _ in self.pending.values():
            if OPERATIONS[operation].channel is channel:
                self.complete(request, code)
                return request
        raise LookupError(f"nothing is pending on channel {channel}")

    def receive(self, data: str | bytes, terminator: Any = None) -> None:
        """Let a complete piece of input arrive for the posted receive."""
        for request, operation, _ in self.pending.values():
            if operation == "Input":
                del self.pending[request]
                self.port.received(request, data, terminator)
                return
        raise LookupError("no receive is posted")

    def arrive(self) -> None:
        """Let some data arrive that does not complete the posted receive yet."""
        for request, operation, _ in self.pending.values():
            if operation == "Input":
                self.port.arrived(request)

    def disconnect_remotely(self) -> None:
        """Let the remote side drop the line."""
        self.port.event(2, None)


def twin(**settings: Any) -> TwinTool:
    """Return a scripted twin; see ``TwinTool`` for the settings."""
    return TwinTool(**settings)
