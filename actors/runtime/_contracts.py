"""What a runtime asks of its dispatcher, its lanes, and what it owns."""

from collections.abc import Callable, Iterator, Sized
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

from rescind.events import Entry, Opened

from ._waiting import Waitable

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from ._actor import Actor
    from ._runtime import Runtime


class Dispatcher(Protocol):
    """Decides which thread runs turns, and when.

    What has a body is what a dispatcher does whose threads may all do everything.
    """

    def attach(self, runtime: "Runtime") -> None:
        """Serve ``runtime``."""
        ...

    def wake(self) -> None:
        """Hear that there is work; any thread, also under the baton."""
        ...

    def help(self) -> None:
        """Have the calling thread do what it has reported, or wake who does; it may not block.

        The thread is inside of no turn and no script.
        """
        self.wake()

    def wait(self, waitable: Waitable, timeout_s: float | None, *, must_spare: bool) -> bool:
        """Block the calling thread until ``waitable`` is done; False after ``timeout_s``.

        Nobody may have been woken yet for what the caller itself has just brought.
        ``must_spare``: the caller was running turns or scripts, somebody else has to now.
        """
        ...

    def wait_in_turn(self, waitable: Waitable, timeout_s: float | None) -> bool:
        """Let the running handler wait, and others have the baton meanwhile."""
        ...

    async def wait_async(self, waitable: Waitable) -> None:
        """Return when ``waitable`` is done, or when the runtime has failed.

        Called in a coroutine, of any loop; the loop goes on meanwhile.
        """
        ...

    def run_handler(self, body: Callable[[], object]) -> None:
        """Run a turn whose handler is the application's; the baton is held."""
        body()

    def pins(self, actor: "Actor") -> bool:
        """Tell whether an ordinary actor's handlers run in a thread of their own."""
        del actor
        return False

    def may_wait(self) -> bool:
        """Tell whether the calling thread may block."""
        return True

    def may_handle(self) -> bool:
        """Tell whether the calling thread may run ordinary actors' handlers."""
        return True

    def settle(self) -> bool:
        """Let what the calling thread may not run go on; tell whether there was anything."""
        return False

    def perform(self, job: Callable[[], object]) -> None:
        """Run something of the application's that may take long, outside of turns.

        ``help`` is called behind it.
        """
        ...

    def loop(self) -> "AbstractEventLoop":
        """Return the event loop in which coroutines of the application run."""
        ...

    def may_block(self) -> AbstractContextManager[None]:
        """Surround what may take long without running turns; others run them meanwhile."""
        return nullcontext()

    def close(self, timeout_s: float) -> None:
        """Stop; threads that do not come back within ``timeout_s`` are left to themselves."""
        ...


class Lane(Protocol):
    """One endpoint's ordered deliveries."""

    def deliver(self, *, scripts: bool) -> bool:
        """Deliver some; tell whether more are left.  Without ``scripts``, stop before one."""
        ...

    def cut(self) -> None:
        """Record what was delivered so far; the baton is held."""
        ...


class Owned(Protocol):
    """What a runtime closes before itself."""

    def close(self) -> None:
        """End everything in order, in turns."""
        ...

    def stop(self) -> None:
        """Stop the driver at once; the log has failed and nothing can be recorded."""
        ...


class Unit(Protocol):
    """Several actors of the kernel with one state, which a keyframe has to tell."""

    def entries(self) -> Iterator[Entry | None]:
        """Tell of each that lives, as it stands when it is asked for; under the baton."""
        ...

    @property
    def opened(self) -> Opened | None:
        """Its birth, which says its dialect."""
        ...

    @property
    def is_closed(self) -> bool:
        """Whether it is gone."""
        ...

    @property
    def requests(self) -> Sized:
        """Its requests that are neither delivered nor discarded."""
        ...

    @property
    def cancels(self) -> int:
        """How many cancels have begun and not ended."""
        ...
