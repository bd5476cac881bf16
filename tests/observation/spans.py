"""Spans as tests ask for them."""

from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Spans:
    """The spans that a provider has exported; each ends once, or it would be here twice."""

    def __init__(self, provider: TracerProvider) -> None:
        self._exporter = InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def all(self) -> list[ReadableSpan]:
        """Return them in the order in which they ended."""
        return list(self._exporter.get_finished_spans())

    def of(self, request: Any) -> ReadableSpan:
        """Return the span of a request, which is given by itself or its number."""
        number = getattr(request, "number", request)
        (found,) = [each for each in self.all() if said(each).get("rescind.request") == number]
        return found

    def named(self, name: str) -> ReadableSpan:
        """Return the one span of that name."""
        (found,) = [each for each in self.all() if each.name == name]
        return found

    def tree(self) -> list[str]:
        """Return every span below its parent, with how it ended and who cancelled it."""
        lines: list[str] = []
        self._show(None, 0, lines)
        return lines

    def _show(self, parent: int | None, depth: int, lines: list[str]) -> None:
        for span in sorted(self.all(), key=lambda each: each.start_time or 0):
            if (span.parent.span_id if span.parent else None) == parent:
                how = said(span).get("rescind.how")
                lines.append("  " * depth + (f"{span.name}: {how}" if how else span.name))
                lines += [
                    "  " * (depth + 1) + f"cancel {each['rescind.reason']}"
                    for name, each in events(span)
                    if name == "cancel"
                ]
                self._show(identity(span), depth + 1, lines)


def said(span: ReadableSpan) -> dict[str, Any]:
    """Return a span's attributes."""
    return dict(span.attributes or {})


def events(span: ReadableSpan) -> list[tuple[str, dict[str, Any]]]:
    """Return a span's events: names and attributes, without the turns."""
    return [
        (each.name, {k: v for k, v in (each.attributes or {}).items() if k != "rescind.turn"})
        for each in span.events
    ]


def links(span: ReadableSpan) -> list[tuple[str, int]]:
    """Return what a span is linked with: what for, and that span's id."""
    return [
        (str((each.attributes or {})["rescind.link"]), each.context.span_id) for each in span.links
    ]


def identity(span: ReadableSpan) -> int:
    found = span.get_span_context()
    assert found is not None
    return found.span_id


def parent(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id
