"""The picture of the incident is the program's own."""

from .incident import PICTURE, picture


def test_the_picture_is_current():
    assert PICTURE.read_text(encoding="utf-8") == picture(), (
        "run `python -m tests.docs.incident`, and look at the picture"
    )
