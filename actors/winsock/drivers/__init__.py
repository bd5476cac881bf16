"""Resolvers: what does the lookups, and their scripted twin.

A resolver knows no actor, no log and no table: it is handed a port and reports through it.
"""

from ._dns import DnsResolver, dns
from ._resolver import Port, Resolver
from ._twin import TwinResolver, twin

__all__ = ["DnsResolver", "Port", "Resolver", "TwinResolver", "dns", "twin"]
