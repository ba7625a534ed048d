"""ext_pillar ``pigsty``: the pillar of one minion, from the inventory.

A thin skin: :mod:`pigsty.validate` decides whether the inventory may be used, and
:mod:`pigsty.pillar` what the minion gets of it. Configuration of the master::

    ext_pillar:
      - pigsty:
          inventory: /etc/pigsty/pigsty.yml
          key: /etc/pigsty/secret.key
          ca: /etc/pigsty/pki/ca.crt
          good: /var/lib/pigsty/inventory/good.yml

While the inventory has errors, the last good one is served: a mistake in an edit changes nothing on
any minion, and what follows from events goes on. `pigsty apply` refuses meanwhile, and `pigsty
status` says so.

The file isn't called ``pigsty.py``: while Salt loads it, its folder is on Python's path, and it
would be found in the place of the package.
"""

import logging

from pigsty import kept
from pigsty import pillar as core
from pigsty.errors import InventoryError, PillarError
from pigsty.pillar.site import Site
from pigsty.platform import of_grains

log = logging.getLogger(__name__)

__virtualname__ = "pigsty"


def __virtual__():
    """Load under the name that the configuration uses."""
    return __virtualname__


def ext_pillar(minion_id, pillar, inventory, key, ca, good=None):
    """Return ``{"pigsty": …}`` for one minion.

    Args:
        minion_id: the id of the minion, which Salt has authenticated.
        pillar: what other sources gave; unused.
        inventory: path of the inventory.
        key: path of the deployment's key.
        ca: path of the CA certificate.
        good: path of the last good inventory, which need not exist.

    Returns:
        The pillar; the same bytes for the same input. The master itself, which orchestrations ask
        for, has no module in it.

    Raises:
        PillarError: no inventory is usable, or it doesn't know the minion. Salt then lists the
            text among the pillar's errors, and states refuse to run.
    """
    # The package keeps what it has read as long as the file is the same; this module can't, because
    # Salt imports it anew each time.
    served = kept.serving(inventory, good)
    topology = served.topology
    if served.trouble:
        log.error("%s; %s gets what was good before", served.trouble, minion_id)
    # Salt keeps the master's own id in the options of this module, whoever the pillar is for.
    own = minion_id == __opts__["id"] and __opts__["__role"] == "master"
    if own and minion_id not in topology.nodes:
        return {"pigsty": core.of_master(topology, minion_id)}
    try:
        site, platform = Site.read(key, ca), of_grains(__grains__)
        return {"pigsty": core.compile_pillar(topology, minion_id, site, platform)}
    except InventoryError as error:
        raise PillarError(f"{inventory}: {error.path}: {error.message}") from error
