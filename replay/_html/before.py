"""How everybody stood before the first turn of a page, told in the page's words."""

from collections.abc import Iterator

from rescind.replay._ledger.dialects import end_text, state_text
from rescind.replay._ledger.lives import CallLife
from rescind.replay._ledger.model import Ledger
from rescind.replay._words.describe import rules_of
from rescind.replay._words.text import clip
from rescind.replay._world.living import Cancelling, Held, Life, Place
from rescind.replay._world.world import World

from .standings import LIVE, OWED, TEXT_MAX, Standing


def standings_in(world: World, ledger: Ledger) -> Iterator[Standing]:
    """Yield how all stood that lived; the ledger, which is empty, learns who is who.

    It learns names and owners alone: what happened is told by the turns that follow.
    """
    for number, place in world.places.items():
        _learn_place(number, place, ledger)
        text = state_text(rules_of(ledger, number), place.state.value)
        yield Standing("e", number, LIVE, clip(text, TEXT_MAX))
    for number, call in world.calls.items():
        ledger.calls[number] = CallLife(number, call.endpoint)
        text = state_text(rules_of(ledger, number), call.state.value)
        yield Standing("k", number, LIVE, clip(text, TEXT_MAX))
    for number in world.accepted:
        held = world.request(number)
        if held is not None:
            yield _request(number, held, ledger)
    for number, cancelling in world.cancels.items():
        yield _cancel(number, cancelling, ledger)
    for number, life in world.lives.items():
        ledger.classes[number] = life.cls
        if number not in world.places:
            yield Standing("a", number, LIVE, _life(life))


def _learn_place(number: int, place: Place, ledger: Ledger) -> None:
    endpoint = ledger.endpoint(number)
    endpoint.dialect, endpoint.profile = place.dialect, place.profile
    endpoint.driver = place.driver


def _request(number: int, held: Held, ledger: Ledger) -> Standing:
    request = ledger.request(number)
    request.endpoint, request.operation = held.endpoint, held.operation
    request.asynchronous, request.timeout_ns = held.asynchronous, held.timeout_ns
    done = held.done
    if done is None:
        return Standing("r", number, LIVE, "outstanding")
    end = end_text(rules_of(ledger, number), done.code, done.how)
    return Standing("r", number, OWED, clip(f"{end}, not delivered yet", TEXT_MAX))


def _cancel(number: int, told: Cancelling, ledger: Ledger) -> Standing:
    cancel = ledger.cancel(number)
    cancel.trigger, cancel.scope, cancel.reason = told.trigger, told.scope, told.reason
    cancel.asked_by, cancel.endpoint = told.by, ledger.owner_of(told.scope)
    return Standing("c", number, LIVE, "asked for" if told.began is None else "window open")


def _life(life: Life) -> str:
    waits = life.marks.get("waits")
    return f"waits for {waits.value}" if waits else "alive"
