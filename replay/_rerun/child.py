"""One recording in a process of its own: ``python -m rescind.replay._rerun.child JOB``.

What came of it is written into a file; that it ends without one says that code of the application
has ended it.
"""

import contextlib
import faulthandler
import json
import logging
import os
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, TextIO

from rescind.events import LogDamagedError, RescindError, UsageError, read

from .place import Place
from .rerun import actor_classes, rerun
from .result import rerun_json

_BEAT_S = 0.5
"""How often a watchdog below Python hears that threads still get on."""


def main(job: dict[str, Any]) -> NoReturn:
    """Execute one recording, write the report, and leave whatever threads there are."""
    report = Path(job["report"])
    place = Place(report.with_suffix(".at"))
    with report.with_suffix(".trace").open("w", encoding="utf-8") as trace:
        _watch_ends(trace)
        _quieten()
        body = _body(job, place, trace)
        # At once and whole: a reader must not take half of it for all.
        written = report.with_suffix(".part")
        written.write_text(json.dumps(body), encoding="utf-8")
        written.replace(report)
        sys.stderr.flush()
        _leave(0)


_leave = os._exit  # the application's threads may never end


def _watch_ends(trace: TextIO) -> None:
    """Have crashes and exits say where they happened."""
    faulthandler.enable(trace)

    def leave(status: int) -> NoReturn:
        faulthandler.dump_traceback(trace, all_threads=False)
        trace.flush()
        _leave(status)

    os._exit = leave


def _quieten() -> None:
    """Failures that were recorded happen again; nobody needs to be told of them."""
    logging.lastResort = None


def _body(job: dict[str, Any], place: Place, trace: TextIO) -> dict[str, Any]:
    body: dict[str, Any] = {"result": None, "error": "", "damage": [], "is_damaged": False}
    limit_s: float = job["time_limit_s"]
    try:
        faulthandler.dump_traceback_later(limit_s, exit=True, file=trace)
        classes = [*actor_classes(job["modules"]), *map(_class_named, job["classes"])]
        threading.Thread(target=_beat, args=(limit_s, trace), daemon=True).start()
        reader = read(job["log"])
        result = rerun(
            reader,
            classes=classes,
            only=job["only"],
            begin=job["begin"],
            time_limit_s=limit_s,
            before_handler=place.note,
        )
        if result.divergence is not None or result.ended:
            for _ in reader.batches():
                pass  # what is damaged behind it counts too
    except RescindError as error:
        return body | {"error": str(error), "is_damaged": isinstance(error, LogDamagedError)}
    except OSError as error:
        return body | {"error": f"{error.filename or job['log']}: {error.strerror or error}"}
    except BaseException as error:  # noqa: BLE001  # reported, whatever an import may raise
        return body | {"error": f"{type(error).__name__}: {error}"}
    return body | {
        "result": rerun_json(result),
        "damage": [each.text for each in reader.damage if each.is_rot],
        "is_damaged": any(each.is_rot for each in reader.damage),
    }


def _class_named(name: str) -> type:
    module, _, qualname = name.partition(":")
    found: Any = None
    with contextlib.suppress(ImportError, AttributeError):
        found = import_module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
    if not isinstance(found, type):
        raise UsageError(f"there is no class {qualname} to be imported from {module}")
    return found


def _beat(limit_s: float, trace: TextIO) -> None:
    """Let the watchdog hear that Python gets on: code in C may keep it from doing so."""
    while True:
        faulthandler.dump_traceback_later(limit_s + 2 * _BEAT_S, exit=True, file=trace)
        threading.Event().wait(_BEAT_S)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
