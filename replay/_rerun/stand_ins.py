"""What stands in a re-execution where the log, the clock, the threads and the outside were."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rescind.actors import runtime
from rescind.actors.runtime import (
    Envelope,
    Mailbox,
    Outbox,
    Runtime,
    VirtualClock,
    Waitable,
    _mailbox,
    _stash,
    _subscriptions,
)
from rescind.events import DeadLetter, Dropped, Overflowed

from .recorded import Recorded

if TYPE_CHECKING:
    from .ahead import TurnsAhead
    from .recording import Recording


class Log:
    """Stands where the runtime expects its log, and compares instead of writing."""

    pending = 0

    def __init__(self, recording: "Recording", first: Recorded) -> None:
        self.log_id = recording.reader.log_id
        self.path = None
        self.kind_ids: dict[type, Any] = first.kinds
        self.epoch = first.epoch
        self.actors_next = recording.reader.actors_before(first.turn) or first.actor
        self.last_number = first.number - 1
        self._recording = recording
        self._epoch = first.epoch

    def append(self, record: tuple[Any, ...]) -> int:
        self.last_number = self._recording.compare(record)
        return self.last_number

    def who(self, _text: str) -> int:
        return 0

    def site(self, _file: str, _line: int, _function: str) -> int:
        return 0

    def class_(self, name: str, _version: int, _digest: str) -> int:
        classes = self._recording.reader.bindings(self._epoch).classes
        return next((number for number, bound in classes.items() if bound.name == name), 0)

    def keyframes_from(self, _source: object) -> None: ...

    def seal(self) -> None:
        return None

    def close(self) -> None:
        return None


class Clock(VirtualClock):
    """The recorded time of the turn that comes next."""

    def __init__(self, recording: "Recording") -> None:
        super().__init__()
        self._recording = recording

    def now_ns(self) -> int:
        turn = self._recording.peek()
        return 0 if turn is None else turn.time_ns


class Tool:
    """The driver that is not there; what it said re-enters from the log."""

    def __init__(self, label: str) -> None:
        self.label = label

    def open(self, port: Any) -> None: ...

    def perform(self, request: int, operation: str, arguments: Any) -> None: ...

    def kill(self, cancel: int, operations: frozenset[str]) -> None: ...

    def partial(self) -> None: ...

    def flush(self, *, partial: bool) -> None: ...

    def close(self) -> None: ...


class Resolver:
    """The resolver that is not there, likewise."""

    def __init__(self, label: str) -> None:
        self.label = label

    def open(self, port: Any) -> None: ...

    def begin(self, request: int, operation: str, question: Any) -> None: ...

    def stop(self, request: int) -> None: ...

    def close(self) -> None: ...


class Wire:
    """The channel, or the listener, that is not there, likewise."""

    def __init__(self, label: str) -> None:
        self.label = label

    def open(self, port: Any) -> None: ...

    def begin(self, call: Any) -> None: ...

    def cancel(self, request: int, turn: int, *, abort: bool) -> None: ...

    def reply(self, key: Any, code: int | None, payload: Any, cause: Any) -> None: ...

    def close(self) -> None: ...


class NoDriver:
    """Does no work of the application's; what came of it re-enters from the log."""

    def begin(self, request: Any) -> None: ...

    def stop(self, request: Any) -> None: ...

    def close(self) -> None: ...


class NumberedRuntime(Runtime):
    """Counts its actors, or numbers them as the recording does."""

    def __init__(
        self, log: Any, dispatcher: "Dispatcher", clock: Clock, turns: "TurnsAhead | None"
    ) -> None:
        super().__init__(log, dispatcher=dispatcher, clock=clock)
        self._turns = turns
        self._free: set[int] = set()
        baton: Any = NoBaton()
        self.baton = baton
        self.subscriptions = Subscriptions(self, deque())

    def next_number(self) -> int:
        behind: int = self.log.actors_next
        number = self._turns and self._turns.next_given(min(self._free, default=behind))
        if not number:
            return super().next_number()
        self._free.update(range(behind, number))
        self._free.discard(number)
        self.log.actors_next = max(behind, number + 1)
        return number

    def interrupt(self, error: BaseException, out: Outbox) -> None:
        """Interrupt nobody: who ran this turn was interrupted when it was recorded."""


class Mailboxes(_mailbox.Mailboxes):
    """How many messages waited is not executed again; what came of it is in the recording."""

    def __init__(self, runtime: Runtime, recording: "Recording") -> None:
        real = runtime.mailboxes
        super().__init__(runtime, real.door, real.control, real.backlog, real.check_running)
        self.recording = recording

    def open(self, ref: Any) -> _mailbox.Box | None:
        # Where no mailbox is bounded, the runtime was, perhaps.
        return super().open(ref) or (self.box(ref, None) if ref.actor_class.RUNS_HANDLERS else None)

    def box(self, ref: Any, config: Mailbox | None) -> _mailbox.Box:
        return Box(self, ref, config)


class Stashes(_stash.Stashes):
    """Executed again; only what is brought back goes where the re-execution keeps what was sent."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self.first: list[Envelope] = []
        """What actors take up again."""

    def put_first(self, ref: Any, back: list[Envelope]) -> None:
        del ref
        self.first += back

    def take_first(self) -> list[Envelope]:
        """Return it, once."""
        first, self.first = self.first, []
        return first


class Box(_mailbox.Box):
    """A mailbox that has a place when the recorded one had."""

    __slots__ = ("_backlog", "_recording")

    def __init__(self, mailboxes: Mailboxes, ref: Any, config: Mailbox | None) -> None:
        super().__init__(mailboxes, ref, config)
        self._recording = mailboxes.recording
        self._backlog = mailboxes.backlog

    def _refusal(self, tried: int) -> Overflowed | None:
        turn = self._recording.peek()
        if turn is None or not turn.holds(turn.kinds.losses):
            return None
        for event in turn.events:
            if isinstance(event, Overflowed) and event.tried == tried:
                return event
        return None

    def has_place(self, tried: int) -> bool:
        return self._refusal(tried) is None

    def admits_request(self, out: Outbox, full: int | None) -> bool:
        del full
        refusal = self._refusal(1)
        if refusal is not None:
            out.events.append(refusal)
        return refusal is None

    def bring(self, envelope: Envelope) -> None:
        self._backlog.append(envelope)

    def release(self) -> None: ...


class Subscriptions(_subscriptions.Subscriptions):
    """Nobody hears of anything: what subscribers were told comes from the recording."""

    def offer(self, event: Any, number: int) -> None: ...


def loss_of(turn: Recorded) -> Any:
    """Return what became of a message that its mailbox dropped or did not take, or nobody took."""
    if not turn.holds(turn.kinds.losses):
        return None
    for event in turn.events:
        if isinstance(event, Dropped | DeadLetter) or (
            isinstance(event, Overflowed) and event.tried == 0
        ):
            return event
    return None


class NoBaton:
    """Where one thread at a time moves, and the others stand still, nobody has to take a baton."""

    is_awaited = False
    is_cut_short = True
    hurried: tuple[()] = ()

    def take(self) -> None: ...

    def take_hurried(self) -> None: ...

    def release(self) -> None: ...

    def step_aside(self, *, own: int = 0) -> None: ...

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


class Dispatcher(runtime.Dispatcher):
    """Moves nothing by itself; a handler that waits inside its turn leaves that to ``stand``."""

    def __init__(self, stand: Callable[[Waitable], None]) -> None:
        self._stand = stand

    def attach(self, runtime: Runtime) -> None: ...

    def wake(self) -> None: ...

    def wait(self, waitable: Waitable, timeout_s: float | None, *, must_spare: bool) -> bool:
        del timeout_s, must_spare
        return waitable.is_done

    async def wait_async(self, waitable: Waitable) -> None: ...

    def wait_in_turn(self, waitable: Waitable, timeout_s: float | None) -> bool:
        del timeout_s
        self._stand(waitable)
        return waitable.is_done

    def perform(self, job: Callable[[], object]) -> None: ...

    def loop(self) -> Any: ...

    def close(self, timeout_s: float = 0.0) -> None: ...
