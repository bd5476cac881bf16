"""What the log costs: the work of other benchmarks with the log at ``os``, and with none at all."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from . import ask, spawn, tell
from .registry import Benchmark, Figure, Side
from .same_actors import Start, our_start, start_in

if TYPE_CHECKING:
    from rescind.events import LogWriter


class NoLog:
    """As much of a log as a runtime calls; it counts the turns and keeps nothing."""

    log_id = bytes(16)
    epoch = 1
    pending = 0

    def __init__(self) -> None:
        from rescind.events import Log

        with_kinds = Log.create_or_open(None)
        self.kind_ids = with_kinds.kind_ids
        with_kinds.close()
        self.last_number = 0
        self.actors_next = 1

    def append(self, _record: object) -> int:
        self.last_number = number = self.last_number + 1
        return number

    def bind(self, *_: object) -> int:
        return 1

    who = site = class_ = bind

    def keyframes_from(self, _source: object) -> None:
        pass

    def seal(self) -> None:
        pass

    close = seal


def ours(n: int) -> Mapping[str, float]:
    with our_start() as start:
        return measure(start, n)


def off(n: int) -> Mapping[str, float]:
    from rescind import Runtime

    log: Any = NoLog()
    with Runtime(cast("LogWriter", log)) as runtime:
        return measure(start_in(runtime), n)


def measure(start: Start, n: int) -> Mapping[str, float]:
    """Everything is done N times."""
    return {
        **tell.measure(start, n),
        **ask.measure(start, n),
        **spawn.measure(start, n),
    }


ON_OVER_OFF = 1 / 1.25
"""With the log the same may take 1.25 times as long."""

BENCHMARK = Benchmark(
    name="log",
    says="tell, ask and spawn with the log at os, and without one",
    ours=Side("ours", ours, 50_000, 10_000),
    peers=(Side("off", off, 50_000, 10_000),),
    figures=tuple(
        Figure(name, "1/s", True, {"off": ON_OVER_OFF})
        for name in ("tell", "outside", "between", "spawn")
    ),
)
