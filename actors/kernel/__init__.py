"""The middle floor: request, endpoint, ledger, cancel window, ordered deliveries.

Knows no dialect.  May import ``rescind.actors.runtime`` and ``rescind.events``.  Nothing is loaded
here, so that the pure tables of ``_rules`` can be read without Pykka.
"""
