"""A cancel under way."""

from typing import Any

from ._request import Request


class CancelWindow:
    """One cancel from its beginning to its end; part of its endpoint's state.

    Invariant: the window closes when the driver has stopped and no asynchronous victim's script
    is left to return.  Blocked synchronous victims wait behind the trigger's own delivery; where a
    cancel has no trigger they are waited for like the others.
    """

    __slots__ = (
        "cancel", "code", "forbids", "held", "is_ending", "is_open", "is_stopped", "timed_out",
        "trigger", "turn", "victims", "waiting",
    )  # fmt: skip

    def __init__(
        self,
        cancel: int,
        trigger: Request | None,
        victims: list[Request],
        *,
        forbids: bool,
        timed_out: Request | None = None,
    ) -> None:
        """Begin.

        Args:
            cancel: the cancel's number.
            trigger: whose completion is the end of the cancel, if any.
            victims: what it means to end, in the order in which they will hear of it.
            forbids: whether new requests are refused meanwhile.
            timed_out: the request whose deadline began the cancel, if one did.
        """
        self.cancel = cancel
        self.trigger = trigger
        self.victims = victims
        self.forbids = forbids
        self.timed_out = timed_out
        self.waiting = sum([each.asynchronous or trigger is None for each in victims])
        """Victims that have to be through before the window closes."""
        self.turn = 0
        """The turn that began it."""
        self.is_open = True
        self.is_ending = False
        """Whether the trigger has been told to complete: it is nobody's victim any more."""
        self.is_stopped = False
        self.code: int | None = None
        self.held: list[Request] = []
        """Completed synchronous victims, to be delivered after the trigger; committers own it."""

    def counts(self, request: Request) -> bool:
        """Tell whether the window waits for this request to be through.

        It does not wait for the request whose completion is its own end, nor for blocked callers,
        who hear after that; without such an end there is nothing to put them behind.
        """
        if request.doomed != self.cancel or request is self.trigger:
            return False
        return request.asynchronous or self.trigger is None

    def told(self) -> dict[str, Any]:
        """Tell how the cancel stands, for a keyframe; its victims say themselves whose they are."""
        return {
            "cancel": self.cancel,
            "began": self.turn,
            "trigger": 0 if self.trigger is None else self.trigger.number,
            "timed_out": 0 if self.timed_out is None else self.timed_out.number,
            "forbids": self.forbids,
            "open": self.is_open,
            "stopped": self.is_stopped,
            "waiting": self.waiting,
            "code": self.code,
        }
