"""Telephony: lines, calls with owners and monitors, and operations that end when these close.

Here live the tables (``_protocol``) and the codes (``_codes``), which ``rescind.replay`` reads too,
so this room loads no Pykka and no driver.  It may import ``rescind.events`` and the kernel's rules.
"""

from ._codes import Code, as_documented, is_cancelled, meaning, name

__all__ = ["Code", "as_documented", "is_cancelled", "meaning", "name"]
