"""Numbers by number, in little memory."""

from array import array

PAGE = 1 << 10
PAGES_MAX = 1 << 14


class Pages:
    """An integer for each of many numbers, 0 at first; small where the numbers lie close together.

    At most `PAGES_MAX` pages are kept, and the oldest goes first.
    """

    __slots__ = ("_blank", "_pages")

    def __init__(self, typecode: str) -> None:
        """Hold nothing yet; the type code is one of ``array``'s."""
        self._blank = array(typecode, [0]) * PAGE
        self._pages: dict[int, array[int]] = {}

    def __getitem__(self, number: int) -> int:
        """Return what was set, or 0."""
        page = self._pages.get(number // PAGE)
        return 0 if page is None else page[number % PAGE]

    def __setitem__(self, number: int, value: int) -> None:
        """Set it."""
        page = self._pages.get(number // PAGE)
        if page is None:
            if len(self._pages) == PAGES_MAX:
                del self._pages[next(iter(self._pages))]
            page = self._pages[number // PAGE] = self._blank[:]
        page[number % PAGE] = value
