"""Runner: write an event of the bus into the journal; the worker does the rest.

It is what every reactor calls, so it does nothing but look at the event's form and store it.
"""

from pigsty import alive, events, react
from pigsty.journal import Journal, now

__virtualname__ = "pigsty_react"

#: Seconds in which further hints may join before a reaction begins.
DELAY = {"node.join": 1.0, "inventory.changed": 1.0}


def __virtual__():
    """Load everywhere."""
    return __virtualname__


def hint(tag, data):
    """Write down an event, and queue what follows from it.

    Args:
        tag: the event's tag.
        data: its data; nothing in it is trusted.

    Returns:
        The number of the reaction, None when nothing follows.

    CLI Example: called by ``reactors/*.sls``.
    """
    found, refused = events.read(tag, data)
    if not refused and found.kind not in react.KINDS:
        refused = "nothing follows from it"
    journal = Journal()
    try:
        return journal.note(found, now(), refused, DELAY.get(found.kind, 0.0))
    finally:
        journal.close()


def beat():
    """Show that what is on the bus comes as far as here.

    CLI Example: called by ``reactors/beat.sls``.
    """
    alive.sign("reactor")
