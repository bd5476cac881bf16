"""Asynchronous Winsock lookups: one handle, one message, and a cancel that is answered by silence.

Here live the tables (``_protocol``) and the codes (``_codes``), which ``rescind.replay`` reads too,
so this room loads no Pykka and no driver.  It may import ``rescind.events`` and the kernel's rules.
"""

from ._codes import Code, is_cancelled, is_too_late, meaning, name

__all__ = ["Code", "is_cancelled", "is_too_late", "meaning", "name"]
