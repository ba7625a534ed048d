"""Execution module: look whether this machine is as it was applied, and change nothing."""

from pigsty import returns

__virtualname__ = "pigsty_drift"


def __virtual__():
    """Load everywhere."""
    return __virtualname__


def check():
    """Run all states of this machine with ``test=True``; return which of them would do something.

    It stands in no state run's way, and none in its: it only reads.

    Returns:
        ``states``, a list of id and SLS; ``error``, why the states couldn't be asked, or "".

    CLI Example:

    .. code-block:: bash

        salt '*' pigsty_drift.check
    """
    found = returns.parse(__opts__["id"], __salt__["state.apply"](test=True, concurrent=True))
    differing = [*found.changes, *found.failures]
    return {"states": [[one.id, one.sls] for one in differing], "error": found.error}
