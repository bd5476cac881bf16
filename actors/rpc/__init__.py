"""Asynchronous RPC: a call on each side, and a cancel of two strengths.

Here live the tables of both sides (``_protocol``) and
the codes (``_codes``), which ``rescind.replay`` reads too, so this room loads no Pykka and no
driver.  It may import ``rescind.events`` and the kernel's rules.
"""

from ._codes import Code, is_cancelled, meaning, name

__all__ = ["Code", "is_cancelled", "meaning", "name"]
