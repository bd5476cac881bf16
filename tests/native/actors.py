"""Actors and messages that these tests use."""

from typing import Any

from rescind import Actor, event, message


@message
class Fetch:
    url: str


@message
class Fetched:
    url: str
    size: int


@message
class Fail:
    text: str


@message
class Crawl:
    urls: Any
    shielded: bool = False


@message
class Total:
    pass


@event
class Counted:
    url: str
    size: int


def download(url: str) -> int:
    return len(url)


class Crawler(Actor):
    """Gives work away for each ``Fetch``, and counts what came of it."""

    total: int = 0
    grace_s = 0.0

    def on_fetch(self, m: Fetch) -> Any:
        return self.work(download, m.url, then=self.got, grace_s=self.grace_s)

    def got(self, m: Fetch, size: int) -> int:
        self.record(Counted(m.url, size))
        return size

    def apply_counted(self, e: Counted) -> None:
        self.total += e.size

    def on_total(self, _: Total) -> int:
        return self.total

    def on_fail(self, m: Fail) -> None:
        raise LookupError(m.text)


class Patient(Crawler):
    """Its work has a while to end when it is cancelled."""

    grace_s = 2.0


class Late(Actor):
    """Waits for a crawler in its handler, and only then asks for more."""

    def __init__(self, crawler: Any) -> None:
        self.crawler = crawler

    def on_crawl(self, m: Crawl) -> Any:
        self.crawler.ask(Fetch("first"))
        for url in m.urls:
            self.crawler.request(Fetch(url), shielded=m.shielded)
        return self.work(download, "own")


class Boss(Actor):
    """Has a crawler do the work, a request for each address."""

    def __init__(self, crawler: Any) -> None:
        self.crawler = crawler
        self.sizes: list[int] = []

    def on_crawl(self, m: Crawl) -> Any:
        last = None
        for url in m.urls:
            request = self.crawler.request(Fetch(url), shielded=m.shielded)
            last = self.work(request, then=self.one_is_there)
        return last

    def one_is_there(self, _: Crawl, size: int) -> int:
        self.sizes.append(size)
        return sum(self.sizes)
