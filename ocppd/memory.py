"""What the process does about its memory. Knows nothing of the rest."""

from __future__ import annotations

import gc
from typing import Final

#: Objects after which the garbage collector looks at the new ones: a millisecond's work at most, at every thousandth message.
NEW_OBJECTS: Final = 5_000


def settle_memory() -> None:
    """Take what the start has made out of the garbage collector's sight: it stays, and is looked through for nothing.

    What has just been made is looked through less often than Python would: messages under way are not garbage yet.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])
