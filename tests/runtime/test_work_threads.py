"""The pool that runs the application's functions: who comes for them, and who passes on the rest.

Every wait below is for something that comes at once where the pool is right, and never where not.
"""

import threading

import pytest

from rescind.actors.runtime._outside import THREADS_MAX, Threads

LONG_S = 20.0


class Pool:
    """A pool whose jobs report, and what came of that."""

    def __init__(self):
        self.reported = []
        self.passed_on = threading.Event()
        self.failed = []
        self.left = threading.Semaphore(0)
        self.threads = Threads(self.relieve)

    def relieve(self):
        if self.reported:
            self.passed_on.set()

    def perform(self, job):
        def run():
            try:
                job()
            except Exception as error:  # noqa: BLE001  # the test tells of it
                self.failed.append(error)
            finally:
                self.left.release()

        self.threads.perform(run)

    def join(self, jobs):
        for _ in range(jobs):
            assert self.left.acquire(timeout=LONG_S)
        assert self.failed == []

    def wait_passed_on(self):
        assert self.passed_on.wait(LONG_S)


@pytest.fixture
def pool():
    return Pool()


def test_as_many_run_at_a_time_as_the_pool_has_threads(pool):
    together = threading.Barrier(THREADS_MAX)
    for _ in range(THREADS_MAX):
        pool.perform(lambda: together.wait(LONG_S))
    pool.join(THREADS_MAX)


def test_jobs_find_threads_that_are_idle(pool):
    together = threading.Barrier(4)
    for _ in range(50):
        for _ in range(4):
            pool.perform(lambda: together.wait(LONG_S))
        pool.join(4)


@pytest.mark.parametrize("blocked", [1, 2, THREADS_MAX, THREADS_MAX + 8])
def test_what_was_reported_is_passed_on_though_all_else_blocks(pool, blocked):
    pool.perform(lambda: pool.reported.append(1))
    for _ in range(blocked):
        pool.perform(pool.wait_passed_on)
    pool.join(blocked + 1)


def test_what_the_last_job_reported_is_passed_on(pool):
    pool.perform(lambda: pool.reported.append(1))
    pool.join(1)
    pool.wait_passed_on()


def test_jobs_that_raise_do_not_take_their_threads_along(pool):
    for _ in range(3 * THREADS_MAX):
        pool.threads.perform(lambda: 1 / 0)
    together = threading.Barrier(THREADS_MAX)
    for _ in range(THREADS_MAX):
        pool.perform(lambda: together.wait(LONG_S))
    pool.join(THREADS_MAX)
