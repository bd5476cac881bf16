"""What the tests of data forms share: the rules by name, the way back, and deep frames."""

from typing import Any

import pytest

from rescind.actors.newton._forms import FormError, decode

FORM = "N-54001-form"
EMPTY = "N-54002-empty"
TARGET = "N-54008-target"
TEMPLATE = "N-54011-template"
CHAR = "N-54016-char"
DATA = "N-36010-data"


def rule_of(call, *arguments, **options):
    with pytest.raises(FormError) as caught:
        call(*arguments, **options)
    return caught.value.rule


def back(raw, form, typelist=None, encoding="utf-8"):
    return decode(raw, form, encoding=encoding, typelist=typelist)


def nested(depth: int) -> dict[str, Any]:
    frame: dict[str, Any] = {"end": 0}
    for _ in range(depth - 1):
        frame = {"": frame}
    return frame
