"""What a notebook or a prompt shows of an answer: the screen of its command."""

from collections.abc import Sequence
from html import escape

from .text import Line, as_text, plain

_COLOURS = {
    "red": "#cf222e", "green": "#1a7f37", "yellow": "#9a6700", "cyan": "#0969da",
    "magenta": "#8250df", "blue": "#0969da",
}  # fmt: skip
"""Readable on white and on black."""


class Shown:
    """An answer that shows itself: as text for ``print``, as HTML for a notebook."""

    __slots__ = ()

    def lines(self) -> Sequence[Line]:
        """Return the screen of the answer's command."""
        raise NotImplementedError

    def __str__(self) -> str:
        """Return the screen as text."""
        return as_text(self.lines())

    def _repr_html_(self) -> str:
        """Return the screen as HTML; nothing of a log is markup there."""
        body = "\n".join("".join(_span(*span) for span in one) for one in self.lines())
        return f'<pre style="line-height:1.3">{body}</pre>'


def _span(text: str, style: str) -> str:
    shown = escape(plain(text))
    rules = [f"color:{_COLOURS[word]}" for word in style.split() if word in _COLOURS]
    rules += ["font-weight:bold"] * ("bold" in style) + ["opacity:.65"] * ("dim" in style)
    return f'<span style="{";".join(rules)}">{shown}</span>' if rules else shown
