"""Who listens to the work of this thread, and a way to tell how far it is.

This stands here and not in a loader file, because Salt loads such a file once for each of its
loaders: the executor of a job, the job's function and a state would each have a copy of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from pigsty.stages import Stage

#: Takes the fields of a :class:`pigsty.stages.Stage`.
Teller = Callable[[dict[str, Any]], None]

#: A minion may run several jobs in one process, each in a thread of its own.
_JOB = threading.local()


def listen(teller: Teller | None) -> None:
    """Set who is told how far the work of this thread is; None for nobody."""
    _JOB.teller = teller


def tell(stage: Stage) -> None:
    """Say how far the work of this thread is. Nobody needs to listen."""
    teller: Teller | None = getattr(_JOB, "teller", None)
    if teller is not None:
        teller(stage.to_dict())
