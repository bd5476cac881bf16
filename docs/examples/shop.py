"""A shop that prints pages: one actor keeps count, a Newton endpoint talks to the printer."""

from rescind import Actor, event, message, newton


@message
class PageEnded:
    page: int
    code: int | None


@event
class Printed:
    page: int


@event
class Lost:
    page: int


class Job(Actor):
    """Keeps count of the pages."""

    printed: int = 0
    lost: int = 0

    def on_page_ended(self, m: PageEnded):
        self.record(Printed(m.page) if m.code is None else Lost(m.page))

    def apply_printed(self, e: Printed):
        self.printed += 1

    def apply_lost(self, e: Lost):
        self.lost += 1


class Shop:
    def __init__(self, runtime, printer):
        self.job = runtime.start(Job)
        self.printer = newton.Endpoint(runtime, printer)
        self.printer.bind()
        self.printer.connect(timeout_s=5)

    def print(self, page, timeout_s=None):
        def ended(printer, options, result):
            self.job.tell(PageEnded(page, result))
            if newton.is_cancelled(result) and page == 3:
                self.print(page)  # nobody wants to lose page 3

        text = f"page {page}\f" * 100
        spec = newton.CallbackSpec(asynchronous=True, timeout_s=timeout_s, completion_script=ended)
        self.printer.output(text, spec)

    def stop_button(self):
        try:
            self.printer.cancel(asynchronous=True)
        except newton.CommError as error:
            print(f"Stop: {error}")
