"""Engine: notice that the inventory was edited.

Configuration of the master::

    engines:
      - pigsty_inventory:
          inventory: /etc/pigsty/pigsty.yml

Events:

``pigsty/inventory/changed``
    It is another one, and good: ``checksum``.
``pigsty/inventory/bad``
    It has errors, and the last good one goes on being used: ``checksum``, ``errors``.
"""

import threading
from pathlib import Path

import salt.utils.event

from pigsty.editing import Editing
from pigsty.kept import FOLDER, Kept

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
    with salt.utils.event.get_master_event(__opts__, __opts__["sock_dir"], listen=False) as bus:
        editing = Editing(
            Path(inventory), Kept(Path(kept)), lambda tag, data: bus.fire_event(dict(data), tag)
        )
        editing.run(threading.Event())
