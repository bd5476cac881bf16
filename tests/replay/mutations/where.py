"""Which places in a story an alteration is about."""

from typing import Any

from rescind.events import (
    Completed,
    CompletionScript,
    Delivered,
    Discarded,
    How,
    Turn,
)
from rescind.replay import Ledger

ONE_UNIT = ("newton", "rpc", "winsock")


def dialect(number: int, ledger: Ledger) -> str:
    endpoint = ledger.endpoints.get(ledger.owner_of(number))
    return endpoint.dialect if endpoint else ""


def delivered(event: Any, _turn: Turn, ledger: Ledger) -> bool:
    request = ledger.requests.get(event.request)
    return request is not None and request.delivered is not None


def a_result(event: Completed, turn: Turn, ledger: Ledger) -> bool:
    return delivered(event, turn, ledger) and event.how == How.RESULT


def a_victim(event: Completed, _turn: Turn, ledger: Ledger) -> bool:
    return event.how == How.CANCELLED and event.by in ledger.cancels


def an_operation(event: Any, _turn: Turn, ledger: Ledger) -> bool:
    own = ledger.requests.get(event.cancel)
    return own is not None and own.completed is not None and own.completed.how == How.RESULT


def own_completion(event: Completed, _turn: Turn, ledger: Ledger) -> bool:
    return event.request in ledger.cancels


def completed_later(event: Any, turn: Turn, ledger: Ledger) -> bool:
    request = ledger.requests.get(event.request)
    done = request.completed if request else None
    return done is not None and done.turn > turn.number


def alone(event: Delivered | Discarded, _turn: Turn, _ledger: Ledger) -> bool:
    return len(event.requests) == 2 and event.requests[0] == event.requests[1]


def completed_turn(event: Delivered | Discarded, _turn: Turn, ledger: Ledger) -> int:
    done = ledger.requests[event.requests[0]].completed
    return done.turn if done else 0


def before_completion(event: Any, turn: Turn, ledger: Ledger) -> int:
    return completed_turn(event, turn, ledger) - 1


def behind_end(event: Completed, _turn: Turn, ledger: Ledger) -> int:
    request = ledger.requests[event.request]
    end = request.delivered or request.discarded
    return end.turn + 1 if end else 0


def is_script(event: Delivered, turn: Turn, _ledger: Ledger) -> bool:
    return isinstance(turn.message, CompletionScript) and not turn.message.running


def last(_event: Any, _turn: Turn, ledger: Ledger) -> int:
    return ledger.last.turn if ledger.last else 0


def other(number: int) -> Any:
    return lambda event, _: event._replace(by=number)


def newton_victim(event: Completed, turn: Turn, ledger: Ledger) -> bool:
    return a_victim(event, turn, ledger) and dialect(event.request, ledger) == "newton"
