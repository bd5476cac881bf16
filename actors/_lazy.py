"""Public names that load on first use, so that tables can be read without Pykka or any driver."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any


def load(package: dict[str, Any], homes: Mapping[str, str], name: str) -> Any:
    """Load a public name of a package from the file that it lives in; once.

    Args:
        package: the package's ``globals()``.
        homes: its public names, and the module of each.
        name: which one.

    Raises:
        AttributeError: the package has no such name.
    """
    home = homes.get(name)
    if home is None:
        raise AttributeError(f"module {package['__name__']!r} has no attribute {name!r}")
    value = package[name] = getattr(import_module(f".{home}", package["__name__"]), name)
    return value
