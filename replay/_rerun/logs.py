"""Many recordings through today's code, each in a process of its own.

Handlers may hang, exit and crash; here that is found in one recording and takes nothing else with
it.  This side loads no actor and none of the application's modules: its children do.
"""

import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rescind.events import Turn, UsageError, read

from .place import TIME_LIMIT_S, Place
from .result import CodeLine, Divergence, Rerun, rerun_of_json

_TELLS_S = 0.1
"""How often it is told how far it is."""
_OURS = str(Path(__file__).parents[2]) + os.sep
_STANDARD = sysconfig.get_path("stdlib") + os.sep
_FRAME = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+) in (?P<function>.*)$')


@dataclass(frozen=True, slots=True)
class LogRerun:
    """What came of one recording.

    Attributes:
        path: The log.
        result: What came of its re-execution; None when there was none.
        error: Why there was none, or empty.
        damage: What the log has lost, a sentence for each place.
        is_damaged: Whether the log is not what its writer wrote; a torn end is no damage.
    """

    path: Path
    result: Rerun | None
    error: str = ""
    damage: Sequence[str] = ()
    is_damaged: bool = False

    @property
    def is_equal(self) -> bool:
        """Whether turns were compared, all came out as recorded, and nothing was in the way."""
        found = self.result
        if found is None or self.is_damaged:
            return False
        return found.divergence is None and not found.unreachable and found.turns > 0

    def __str__(self) -> str:
        """Say what ``rescind rerun`` says; an assertion shows it."""
        # Here, because the screen shows this class.
        from rescind.replay._words.text import as_text  # noqa: PLC0415

        from .screen import log_lines  # noqa: PLC0415

        return as_text(log_lines(self))


def rerun_logs(  # noqa: PLR0913  # each is chosen by its name
    sources: Iterable[str | os.PathLike[str]],
    *,
    classes: Iterable[type] = (),
    modules: Iterable[str] = (),
    only: int = 0,
    begin: int = 0,
    time_limit_s: float = TIME_LIMIT_S,
    jobs: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> list[LogRerun]:
    """Execute recordings again, each in a process of its own; results come in the order of names.

    Three lines make it a regression test; ``str`` of a result is its report::

        def test_last_months_logs_come_out_as_they_were():
            for each in rerun_logs(["logs"], classes=[Till]):
                assert each.is_equal, each

    Args:
        sources: Logs, and directories in which all logs are meant.
        classes: The application's actor classes, and declared kinds that no handler's annotation
            names.  The children import them from their modules.
        modules: ... or modules in which to look for both.
        only: Execute this actor, or endpoint, alone.
        begin: Begin with the process life that this turn is of; 0 for all.
        time_limit_s: How long one turn may compute before it counts as hanging.
        jobs: So many at a time; one for each processor by default.
        progress: Called with how many are done, and of how many: now and then, and after each.

    Raises:
        UsageError: A class cannot be imported from its module by its name.
    """
    logs = [log for source in sources for log in find_logs(Path(source))]
    job = {
        "classes": [_name_of(cls) for cls in classes],
        "modules": list(modules),
        "only": only,
        "begin": begin,
        "time_limit_s": time_limit_s,
    }
    workers = max(1, min(jobs or os.cpu_count() or 1, len(logs)))
    children = _Children(job)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(workers) as pool:
        places = [Path(folder, str(at)) for at in range(len(logs))]
        futures = [pool.submit(children.run, *each) for each in zip(logs, places, strict=True)]
        try:
            done: list[LogRerun] = []
            for future in futures:
                while progress is not None and wait((future,), _TELLS_S).not_done:
                    progress(len(done), len(logs))
                done.append(future.result())
                if progress is not None:
                    progress(len(done), len(logs))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            children.kill()
            raise
    return done


def find_logs(path: Path) -> list[Path]:
    """Return the logs at a path: itself, or those anywhere below it, by name.

    A path without any is returned itself: reading it says what is the matter.
    """
    if not path.is_dir() or any(path.glob("*.seg")):
        return [path]
    return sorted({each.parent for each in path.rglob("*.seg")}) or [path]


def _name_of(cls: type) -> str:
    if cls.__module__ == "__main__" or "<locals>" in cls.__qualname__:
        text = f"{cls.__module__}.{cls.__qualname__} cannot be imported in another process"
        raise UsageError(f"{text}; put it on the top level of a module")
    return f"{cls.__module__}:{cls.__qualname__}"


class _Children:
    """Runs children, and ends those that run when nobody wants them any more."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job
        self._running: set[subprocess.Popen[bytes]] = set()
        self._is_over = False

    def kill(self) -> None:
        self._is_over = True
        for child in list(self._running):
            child.kill()

    def run(self, log: Path, report: Path) -> LogRerun:
        place = Place.create(report.with_suffix(".at"))
        trace = report.with_suffix(".trace")
        job = {**self._job, "log": str(log), "report": str(report)}
        if self._is_over:
            return LogRerun(log, None, "not executed")
        child = subprocess.Popen(  # noqa: S603  # ourselves
            [sys.executable, "-P", "-m", "rescind.replay._rerun.child", json.dumps(job)],
            stdin=subprocess.DEVNULL,
            stdout=2,  # what handlers print must not get between what we say
            env=os.environ | {"PYTHONPATH": os.pathsep.join(each or "." for each in sys.path)},
        )
        self._running.add(child)
        code = child.wait()
        self._running.discard(child)
        try:
            return _reported(log, json.loads(report.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            said = trace.read_text(encoding="utf-8", errors="replace") if trace.exists() else ""
            return _ended(log, place, code, said)


def _reported(log: Path, body: dict[str, Any]) -> LogRerun:
    result = None if body["result"] is None else rerun_of_json(body["result"])
    return LogRerun(log, result, body["error"], tuple(body["damage"]), body["is_damaged"])


def _ended(log: Path, place: Place, code: int, trace: str) -> LogRerun:
    """Tell of a child that did not come to its end."""
    number, actor = place.read()
    line = _line_in(trace)
    if "Timeout" in trace:
        what = "has not ended within the time limit"
    elif code < 0:
        what = f"kills the process: {_signal_name(-code)}"
    else:
        what = f"ends the process with exit code {code}"
    if not number:
        where = f" at {line}" if line is not None else ""
        return LogRerun(log, None, f"importing the classes {what}{where}")
    turn = _turn_of(log, number)
    divergence = Divergence(
        number=number,
        what=f"the handler {what}",
        expected="" if turn is None else repr(turn.events)[:400],
        actual=None,
        ancestor=turn.cause.number if turn and turn.cause and turn.cause.log is None else 0,
        actor=actor,
        line=line,
    )
    return LogRerun(log, Rerun(max(number - 1, 0), 0, 0, 0, 0, divergence))


def _turn_of(log: Path, number: int) -> Turn | None:
    return next((turn for turn in read(log, start=number) if turn.number == number), None)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _line_in(trace: str) -> CodeLine | None:
    """Return the innermost line of the application in a trace of Python's ``faulthandler``."""
    # Of several threads the one that takes turns; of one, that one.
    threads = re.split(r"(?m)^(?=Thread |Current thread |Stack )", trace)
    for thread in sorted(threads, key=lambda text: " in _take_turns" not in text):
        for row in thread.splitlines():
            found = _FRAME.match(row)
            if found is not None and not _is_inside(found["file"]):
                return CodeLine(found["file"], int(found["line"]), found["function"])
    return None


def _is_inside(file: str) -> bool:
    is_pythons = file.startswith(_STANDARD) and "site-packages" not in file
    return is_pythons or file.startswith((_OURS, "<frozen")) or f"{os.sep}pykka{os.sep}" in file
