"""The fixtures of the runtime's tests: a kernel test needs the same recordings and dispatchers."""

from tests.runtime.conftest import connect, dispatcher, recordings, runtime, stepped, threaded

__all__ = ["connect", "dispatcher", "recordings", "runtime", "stepped", "threaded"]
