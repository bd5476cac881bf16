"""For each law: what breaks it."""

from rescind.replay import LAWS

from .alter import Alteration
from .of_actors import L8, L9, L10
from .of_cancels import L3, L4, L5, L6
from .of_requests import L1, L2, L7, L11

TABLE: dict[str, dict[str, Alteration]] = {
    "L1": L1, "L2": L2, "L3": L3, "L4": L4, "L5": L5, "L6": L6, "L7": L7, "L8": L8, "L9": L9,
    "L10": L10, "L11": L11,
}  # fmt: skip
"""By law: what is altered in words, and how.  A law that joins ``LAWS`` needs a row here."""

UNTOLD = {law.id for law in LAWS} - TABLE.keys()
