"""Engine: notice that the inventory was edited.

Configuration of the master::

    engines:
      - pigsty_inventory:
          inventory: /etc/pigsty/pigsty.yml

Events:

``pigsty/inventory/changed``
    It is another one, and good: ``checksum``; where it differs from the one before: ``hosts`` and
    ``clusters`` (the first 20 of each), ``modules``, and the ``count`` of hosts.
``pigsty/inventory/bad``
    It has errors, and the last good one goes on being used: ``checksum``, ``errors``.
``pigsty/inventory/pull``
    Pulling it from its git repository failed, or works again.
"""

import threading
from contextlib import closing
from pathlib import Path

import salt.utils.event

from pigsty import events, pulling
from pigsty.clients import git
from pigsty.editing import Editing
from pigsty.events import Hint
from pigsty.journal import Journal, now
from pigsty.kept import FOLDER, Kept
from pigsty.pulling import Pulling

__virtualname__ = "pigsty_inventory"


def __virtual__():
    """Load on a master only."""
    return __virtualname__ if __opts__.get("__role") == "master" else (False, "for masters")


def start(inventory, kept=str(FOLDER)):
    """Look until the process ends.

    Args:
        inventory: path of the inventory.
        kept: folder of the last good one.
    """
    stop, past = threading.Event(), Kept(Path(kept))
    with closing(Journal()) as journal:
        said = journal.settled(pulling.KIND, "inventory") or ""
    pulls = Pulling(Path(inventory), past.good, git.pull, _pulled, said)
    threading.Thread(target=pulls.run, args=(stop,), daemon=True).start()
    with salt.utils.event.get_master_event(__opts__, __opts__["sock_dir"], listen=False) as bus:
        editing = Editing(Path(inventory), past, lambda tag, data: bus.fire_event(dict(data), tag))
        editing.run(stop)


def _pulled(failed):
    """Write down why a pull failed, or that it didn't, and put the event on the bus."""
    with closing(Journal()) as journal:
        journal.settle(pulling.KIND, "inventory", failed, now())
        journal.note(Hint(pulling.KIND, "inventory", "master", {}), now())
    # It is called from another thread than the one that has the engine's bus.
    with salt.utils.event.get_master_event(__opts__, __opts__["sock_dir"], listen=False) as bus:
        bus.fire_event({"failed": bool(failed)}, events.tag(pulling.KIND))
