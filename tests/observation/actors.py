"""Actors that these tests watch; their work waits until it is told to end."""

from typing import Any

from opentelemetry import baggage, trace

from rescind import Actor, current_token, message


@message
class Fetch:
    url: str


@message
class Shop:
    urls: Any
    shielded: bool = False


@message
class Peek:
    pass


def download(url: str) -> int:
    """Take as long as it may for ``slow``; raise for ``bad``."""
    if url == "slow":
        current_token().wait()
    if url == "bad":
        raise LookupError("what nobody else is to know")
    return len(url)


def peek() -> tuple[int, Any]:
    """Return which span is the current one, and the baggage."""
    span = trace.get_current_span().get_span_context().span_id
    return span, baggage.get_baggage("customer")


async def peek_async() -> tuple[int, Any]:
    return peek()


class Crawler(Actor):
    def on_fetch(self, m: Fetch) -> Any:
        return self.work(download, m.url)

    def on_peek(self, _: Peek) -> Any:
        return self.work(peek)


class AsyncCrawler(Crawler):
    def on_peek(self, _: Peek) -> Any:
        return self.work(peek_async)


class Shopper(Actor):
    """Has a crawler fetch everything, and ends as the last of it."""

    def __init__(self, crawler: Any) -> None:
        self.crawler = crawler

    def on_shop(self, m: Shop) -> Any:
        requests = [self.crawler.request(Fetch(url), shielded=m.shielded) for url in m.urls]
        return self.work(requests[-1])

    def on_receive(self, message: Any) -> Any:
        if message == "soon":
            return self.send_after(1, "now") and None
        if message == "now":
            return self.crawler.request(Fetch("later")) and None
        return super().on_receive(message)
