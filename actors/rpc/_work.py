"""The functions that serve calls: where they run, and what becomes of what they return or raise."""

import inspect
from collections.abc import Callable, Mapping
from contextvars import copy_context
from functools import partial
from typing import Any, TypeAlias

from rescind.actors.runtime import CAUSE, Runtime, describe
from rescind.events import Answer, Origin

from ._calls import CURRENT, ServerCall
from ._codes import Code
from ._errors import Abort
from ._machines import ServerState
from ._values import packed

Function: TypeAlias = Callable[..., Any]


class Work:
    """Calls the functions of one server; after the commit of their calls, without the baton."""

    __slots__ = ("_functions", "_runtime")

    def __init__(self, runtime: Runtime, functions: Mapping[str, Function]) -> None:
        """Call these, in the threads of a runtime or in its event loop."""
        self._runtime = runtime
        self._functions = functions

    def begin(self, call: ServerCall) -> None:
        """Call the function that serves a call, elsewhere."""
        if call.spec is None:
            return  # nobody calls when a log is executed again
        function, context = self._functions[call.procedure], copy_context()
        context.run(CAUSE.set, call)
        context.run(CURRENT.set, call)
        runtime = self._runtime
        if runtime.observer is not None:
            context.run(runtime.observer.enter, call.number)
        if inspect.iscoroutinefunction(function):
            loop = runtime.dispatcher.loop()
            start = partial(loop.create_task, context=context, name=repr(call))
            loop.call_soon_threadsafe(lambda: start(self._serve_async(call, function)))
        else:
            runtime.dispatcher.perform(lambda: context.run(self._serve, call, function))

    def _serve(self, call: ServerCall, function: Function) -> None:
        """Serve a call, in a thread that may block."""
        try:
            value = function(*call.values)
        except BaseException as error:  # noqa: BLE001  # the client hears of it
            self._raised(call, error)
        else:
            self._returned(call, value)

    async def _serve_async(self, call: ServerCall, function: Function) -> None:
        """Serve a call in an event loop."""
        try:
            value = await function(*call.values)
        except BaseException as error:  # noqa: BLE001  # likewise
            self._raised(call, error)
        else:
            self._returned(call, value)
        self._runtime.dispatcher.wake()  # behind a job somebody helps anyway

    def _returned(self, call: ServerCall, value: Any) -> None:
        """Report a result, which means nothing where somebody else ends the call."""
        assert call.spec is not None, "a function was called for it"
        if call.is_over or call.state is ServerState.HANDED_OFF:
            return
        payload = packed(value)
        if payload is None:
            self._raised(call, TypeError("the result has no form in MessagePack"))
            return
        call.spec.payload = payload
        self._answer(call, None, value)

    def _raised(self, call: ServerCall, error: BaseException) -> None:
        """Report what a function raised."""
        assert call.spec is not None, "a function was called for it"
        if isinstance(error, Abort):
            self._answer(call, error.code, None)
            return
        text = describe(error)
        if not call.is_over and call.state is ServerState.DISPATCHED:
            call.spec.payload = text
        self._answer(call, Code.CALL_FAILED, text)

    def _answer(self, call: ServerCall, code: int | None, value: Any) -> None:
        answer = Answer(call.number, code, value)
        self._runtime.report(call, answer, Origin.IO, call.turn)
