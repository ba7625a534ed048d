"""Beacon: tell the master when this member begins to lead, or its state changes.

Configuration of the minion (``states/pgsql/beacon.sls`` makes it)::

    beacons:
      pigsty_patroni:
        - interval: 5

Events are those of the engine ``pigsty_dcs``. They are sent one by one and not returned to Salt: of
what a beacon returns, the master takes a batch in which each event says itself whose it is.
"""

from pigsty import beacon as core
from pigsty.clients.patroni import Patroni
from pigsty.errors import ClientError

__virtualname__ = "pigsty_patroni"


def __virtual__():
    """Load everywhere; a minion without PostgreSQL has nothing to tell."""
    return __virtualname__


def validate(config):
    """Check the configuration.

    Args:
        config: a list of settings.

    Returns:
        Whether it is good, and what is wrong with it.
    """
    problem = core.problem([c for c in config if "_beacon_name" not in c] if config else config)
    return not problem, problem or "valid"


def beacon(config):
    """Look at Patroni, and send what is new.

    Args:
        config: a list of settings.

    Returns:
        Nothing: the events were sent already.
    """
    pgsql = (__pillar__.get("pigsty") or {}).get("pgsql")
    if not pgsql:
        return []
    try:
        status = Patroni.of_pillar(pgsql).status()
    except ClientError:
        status = None
    now = core.Seen.of(status)
    before = __context__.get(__virtualname__)
    for tag, data in core.told(pgsql["cluster"], pgsql["instance"], before, now):
        # What can't be sent is looked at again: the master may be away.
        if not __salt__["event.send"](tag, data):
            return []
    __context__[__virtualname__] = now
    return []
