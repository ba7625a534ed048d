"""Engine: take the alerts of this node's Alertmanager and put each on the event bus.

Configuration of the master::

    engines:
      - pigsty_alerts:
          key: /etc/pigsty/secret.key
          pki: /etc/pigsty/pki

Events (data as in :data:`pigsty.events.FIELDS`): ``pigsty/alert/<name>/firing`` and
``pigsty/alert/<name>/resolved``.
"""

import logging
from pathlib import Path

import salt.utils.event

from pigsty import alive, events
from pigsty.clients.webhook import Server
from pigsty.pillar.monitoring import events_token
from pigsty.pillar.site import Site

__virtualname__ = "pigsty_alerts"

log = logging.getLogger(__name__)


def __virtual__():
    """Load on a master only."""
    return __virtualname__ if __opts__.get("__role") == "master" else (False, "for masters")


def start(key, pki):
    """Take alerts until the process ends.

    Args:
        key: path of the deployment's key, from which the token is derived.
        pki: folder of the CA.
    """
    token = events_token(Site.read(key, Path(pki) / "ca.crt"))
    with salt.utils.event.get_master_event(__opts__, __opts__["sock_dir"], listen=False) as bus:

        def take(alerts):
            for alert in alerts:
                try:
                    tag = events.tag(f"alert.{alert.status}", name=alert.name)
                except ValueError as error:
                    log.warning("an alert is left out: %s", error)
                    continue
                bus.fire_event({"name": alert.name, **alert.data}, tag)

        with Server(token, take, lambda: alive.sign("alerts")) as server:
            server.serve_forever(poll_interval=5.0)
