"""Runner: write an event of the bus into the journal; the worker does the rest.

It is what every reactor calls, so it does nothing but look at the event's form and store it.
"""

from pigsty import alive, events, react
from pigsty.clients import keys
from pigsty.journal import Journal, now
from pigsty.reactions import nodes

__virtualname__ = "pigsty_react"

#: Seconds in which further hints may join before a reaction begins.
DELAY = {"node.join": 1.0, "node.key": 1.0, "node.leave": 1.0}


def __virtual__():
    """Load everywhere."""
    return __virtualname__


def hint(tag, data, stamp=""):
    """Write down an event, and queue what follows from it.

    Args:
        tag: the event's tag.
        data: its data; nothing in it is trusted.
        stamp: when the master put it on the bus.

    Returns:
        The number of the reaction, None when nothing follows.

    CLI Example: called by ``reactors/*.sls``.
    """
    if events.idle(tag, data):
        return None
    found, refused = events.read(tag, data)
    if not refused and found.kind not in react.KINDS:
        refused = "nothing follows from it"
    journal = Journal()
    try:
        # Whoever was refused calls again every few seconds, and one line tells of it.
        if found.kind == "node.key" and (
            journal.settled(found.kind, found.subject)
            == nodes.refused_keys(keys.read(), found.subject)
        ):
            return None
        came = now()
        rest = journal.rest(found.kind, found.subject, came)
        delay = max(DELAY.get(found.kind, 0.0), rest)
        return journal.note(found, came, refused, delay, events.fired(stamp, came))
    finally:
        journal.close()


def beat():
    """Show that what is on the bus comes as far as here.

    CLI Example: called by ``reactors/beat.sls``.
    """
    alive.sign("reactor")
