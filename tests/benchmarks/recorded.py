"""What the benchmarks of replay share: a log of about N turns, recorded by the runtime itself.

Four Newton endpoints over the twin send; most of what they send completes, and now and then a
Cancel meets the rest.  A turn has some 60 bytes, as in a real log.  A log of 10,000,000 turns takes
minutes to record: where the environment names a folder for them, logs are kept there and used again
by every benchmark and every run.
"""

import os
import resource
from collections.abc import Callable, Iterator
from itertools import chain, cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .registry import prepared
from .turns import Stopwatch, settle

if TYPE_CHECKING:
    from rescind.events import Turn

LOGS = "RESCIND_BENCHMARK_LOGS"
"""The environment's name for the folder where recorded logs are kept."""

ENDPOINTS = 4
OUTPUTS = 32
"""So many requests are submitted in a round."""
COMPLETED = 28
"""So many of them complete before a Cancel comes, where one does."""
OFTEN, SELDOM = 4, 400
"""One round of so many has a Cancel, which ends what is left of it: one request of 32, or few."""

TENTH = 10
MEMORY_MIB = 300.0
"""What a command may take, whatever the log."""


def prepare(n: int, place: Path) -> None:
    """Record a log of N turns and one of a tenth as many, if they are not kept already."""
    for count in (n, n // TENTH):
        record(log_of(count, place), count)
    settle(place)


def log_of(n: int, place: Path | None = None, rounds: int = OFTEN) -> Path:
    """Where the log of N turns is, in which a Cancel comes every so many rounds."""
    kept = os.environ.get(LOGS)
    return Path(kept or place or prepared()) / f"recorded-{n}-{rounds}.log"


def record(path: Path, n: int, rounds: int = OFTEN) -> None:
    """Record a log of at least N turns, unless it is there."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # A run that was interrupted must not leave half a log to the next.
    begun = path.with_suffix(".begun")
    run(begun, n, rounds)
    begun.rename(path)


def run(path: Path, n: int, rounds: int) -> None:
    from rescind import Runtime, newton

    with Runtime.open(path) as runtime:
        pairs = [connect(newton, runtime) for _ in range(ENDPOINTS)]
        spec = newton.CallbackSpec(asynchronous=True, completion_script=hear)
        for count, (endpoint, twin) in enumerate(cycle(pairs)):
            for _ in range(OUTPUTS):
                endpoint.output("hello world", spec)
            runtime.flush()  # whereupon the twin has been asked for all of them
            for request in list(twin.pending)[:COMPLETED]:
                twin.complete(request)
            runtime.flush()
            if count % rounds == 0:
                endpoint.cancel(asynchronous=True).get()
            for request in list(twin.pending):
                twin.complete(request)
            if runtime.log.last_number >= n:
                break
        for endpoint, _ in pairs:
            endpoint.disconnect()
            endpoint.unbind()
            endpoint.dispose()


def connect(newton: Any, runtime: Any) -> tuple[Any, Any]:
    twin = newton.twin()
    endpoint = newton.Endpoint(runtime, twin)
    endpoint.bind()
    endpoint.connect()
    return endpoint, twin


def hear(_endpoint: object, _options: object, _result: object) -> None:
    """Hear that a request is completed."""


# --- what is asked, and what it costs ----------------------------------------------------------


def victims_of(path: Path, count: int) -> list[int]:
    """So many requests that a Cancel ended, from the middle of a log on."""
    from rescind.events import read

    lookup = read(path).lookup()
    turns = chain(lookup.turns(lookup.last // 2), lookup.turns())
    return list(islice(_victims_in(turns), count))


def _victims_in(turns: "Iterator[Turn]") -> Iterator[int]:
    from rescind.events import CancelBegan

    events = chain.from_iterable(turn.events for turn in turns)
    return (each.victims[0] for each in events if isinstance(each, CancelBegan) and each.victims)


def milliseconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    watch = Stopwatch()
    work()
    return watch.seconds() * 1e3


def peak_mib(who: int = resource.RUSAGE_SELF) -> float:
    """The most memory that this process had, or the largest of its children."""
    return resource.getrusage(who).ru_maxrss / 1024
