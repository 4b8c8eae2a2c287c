"""The secret half of the keeper: no secret is a Python object here, only a pointer into guarded memory."""

from .account import InputRequest
from .entropy import Entropy, KernelEntropy
from .envelope import PRODUCTION_BOUNDS, PRODUCTION_COST, TEST_BOUNDS, TEST_COST, KdfBounds, KdfCost
from .keyring import Keyring, NewKey, PublicParts

__all__ = [
    "PRODUCTION_BOUNDS",
    "PRODUCTION_COST",
    "TEST_BOUNDS",
    "TEST_COST",
    "Entropy",
    "InputRequest",
    "KdfBounds",
    "KdfCost",
    "KernelEntropy",
    "Keyring",
    "NewKey",
    "PublicParts",
]
