"""What every test has: the Hypothesis profile, and a re-execution of what it has recorded.

`dev` searches anew in each run; `ci` (environment variable CI=true) repeats the same examples, so
that a failure there is a failure everywhere; `nightly` searches long and is asked for by name.
"""

import os

from hypothesis import HealthCheck, settings

from .reruns import (
    pytest_configure,
    pytest_runtest_setup,
    pytest_runtest_teardown,
    pytest_terminal_summary,
)

__all__ = [
    "pytest_configure",
    "pytest_runtest_setup",
    "pytest_runtest_teardown",
    "pytest_terminal_summary",
]

settings.register_profile("dev", max_examples=100, stateful_step_count=50, deadline=None)
settings.register_profile(
    "ci",
    settings.get_profile("dev"),
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],  # a shared machine may stall
)
settings.register_profile("nightly", settings.get_profile("dev"), max_examples=10_000)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") == "true" else "dev")
)
