"""One bad half second in the print shop, recorded in virtual time.

Everybody who runs it gets the same log, byte for byte: the printer is a twin, and Stepped moves
time.  Then ask the log: `rescind sequences incident.log`.
"""

from shop import Shop

from rescind import Runtime, Stepped, newton


def main():
    clock, printer = Stepped(seed=16005), newton.twin(holds_kills=True)
    with Runtime.open("incident.log", dispatcher=clock) as runtime:
        shop = Shop(runtime, printer)
        for page in range(1, 7):
            shop.print(page)
        shop.print(7, timeout_s=0.25)
        clock.advance(0.1)
        pages = list(printer.pending)
        printer.complete(pages[0])
        printer.complete(pages[1])
        clock.advance(0.1502)
        shop.stop_button()
        clock.advance(0.0004)
        printer.finish_kill()
        clock.advance(0.2)
        printer.complete(pages[4])
        clock.run()


if __name__ == "__main__":
    main()
