"""Lessons can be followed: every block of such a page is executed, and shows what comes out."""

import pytest

from .lessons import Block, Classroom, blocks_of, folder_of, missing, shows
from .test_pages import PAGES, name

LESSONS = [page for page in PAGES if folder_of(page)]


@pytest.mark.parametrize("page", LESSONS, ids=name)
def test_a_lesson_can_be_followed(page, tmp_path):
    if programs := missing(page):
        pytest.skip(f"not installed: {', '.join(programs)}")
    room = Classroom(tmp_path / folder_of(page), tmp_path / "tools")
    for block in blocks_of(page):
        for wrong in room.follow(block):
            pytest.fail(f"{name(page)}:{block.line}: {wrong}", pytrace=False)


def test_there_are_lessons():
    assert LESSONS


@pytest.mark.parametrize(
    ("block", "wrong"),
    [
        (Block(1, "python", "print()", None), "nobody follows a block of python"),
        (Block(1, "text", "Hm.\n", None), "nobody follows a block of text"),
        (Block(1, "diff", "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", None), "does not fit"),
        (Block(1, "console", "$ exit 3\n", None), "ends with 3"),
        (Block(1, "console", "$ echo a\na\n$ echo b\nc\n", None), "echo b\nprints otherwise"),
    ],
)
def test_what_cannot_be_followed_is_told(block, wrong, tmp_path):
    (told,) = Classroom(tmp_path / "room", tmp_path / "tools").follow(block)
    assert wrong in told


@pytest.mark.parametrize(
    ("shown", "said", "is_shown"),
    [
        ("a\nb", "a\nb\n", True),
        ("a", "a\nb\n", False),
        ("a\n...", "a\nb\nc\n", True),
        ("...\nc", "a\nb\nc\n", True),
        ("a\n...\nd", "a\nb\nc\n", False),
        ("a   1.5 ms  b", "a 2 s b", True),
        ("+72.6 µs t11", "+1 ms t12", True),
        ("turns 16..49, tcp 127.0.0.1:1024", "turns 17..50, tcp 127.0.0.1:65535", True),
        ("33 turns", "34 turns", False),
        ("  18      0  r4\n← 17   -1 ms  a1", "  20      0  r4\n← 19   -2 ms  a1", True),
        ("18 victims", "20 victims", False),
        ("r17  b", "r18  b", False),
    ],
)
def test_a_page_may_leave_lines_out_but_show_nothing_else(shown, said, is_shown):
    assert shows(shown, said) is is_shown


def test_a_page_may_need_a_program_that_is_not_here(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- lesson: one -->\n<!-- needs: sh -->\n<!-- needs: no-such-program -->\n")
    assert missing(page) == ["no-such-program"]
