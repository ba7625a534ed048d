"""ext_pillar ``pigsty``: the pillar of one minion, from the inventory.

A thin skin: :mod:`pigsty.validate` decides whether the inventory may be used, and
:mod:`pigsty.pillar` what the minion gets of it. Configuration of the master::

    ext_pillar:
      - pigsty:
          inventory: /etc/pigsty/pigsty.yml
          key: /etc/pigsty/secret.key
          ca: /etc/pigsty/pki/ca.crt

The file isn't called ``pigsty.py``: while Salt loads it, its folder is on Python's path, and it
would be found in the place of the package.
"""

from pigsty import pillar as core
from pigsty import validate
from pigsty.errors import InventoryError, PillarError
from pigsty.pillar.site import Site
from pigsty.platform import of_grains

__virtualname__ = "pigsty"


def __virtual__():
    """Load under the name that the configuration uses."""
    return __virtualname__


def ext_pillar(minion_id, pillar, inventory, key, ca):
    """Return ``{"pigsty": …}`` for one minion.

    Args:
        minion_id: the id of the minion, which Salt has authenticated.
        pillar: what other sources gave; unused.
        inventory: path of the inventory.
        key: path of the deployment's key.
        ca: path of the CA certificate.

    Returns:
        The pillar; the same bytes for the same input.

    Raises:
        PillarError: the inventory is not usable, or doesn't know the minion. Salt then lists the
            text among the pillar's errors, and states refuse to run.
    """
    # The package keeps what it has read as long as the file is the same; this module can't, because
    # Salt imports it anew each time.
    topology = validate.usable(inventory)
    try:
        site, platform = Site.read(key, ca), of_grains(__grains__)
        return {"pigsty": core.compile_pillar(topology, minion_id, site, platform)}
    except InventoryError as error:
        raise PillarError(f"{inventory}: {error.path}: {error.message}") from error
