"""Engine: carry out the reactions that the journal holds, and look for what events have missed.

Configuration of the master::

    engines:
      - pigsty_worker:
          inventory: /etc/pigsty/pigsty.yml
          key: /etc/pigsty/secret.key
          pki: /etc/pigsty/pki
"""

import threading
import time
from dataclasses import replace
from pathlib import Path

import salt.client
import salt.exceptions
import salt.utils.event

from pigsty import alive, events, returns, service, turns, validate
from pigsty.clients import minions, prometheus
from pigsty.clients.stores import Access
from pigsty.clients.textfile import LogCount, Publisher
from pigsty.errors import ClientError
from pigsty.journal import Journal
from pigsty.react import HIGHSTATE, Truth

__virtualname__ = "pigsty_worker"


def __virtual__():
    """Load on a master only."""
    return __virtualname__ if __opts__.get("__role") == "master" else (False, "for masters")


def start(inventory, key, pki):
    """Carry out reactions until the process ends.

    Args:
        inventory: path of the inventory.
        key: path of the deployment's key.
        pki: folder of the CA.
    """
    actor = Actor(inventory, Access(Path(key), Path(pki)))
    keys = Path(__opts__["pki_dir"], "minions")
    log = LogCount(Path(__opts__["log_file"]))
    publisher = Publisher(inventory, int(__opts__["publish_port"]), keys, log)
    with salt.utils.event.get_master_event(__opts__, __opts__["sock_dir"], listen=False) as bus:
        tell = _Teller(publisher, lambda: bus.fire_event({}, events.tag("beat")))
        service.serve(Journal, actor, actor.whole, time.time, threading.Event(), tell)


class _Teller:
    """Shows that the worker lives, has the way to it tried out, and writes the metrics."""

    def __init__(self, publisher, beat):
        self._publisher, self._beat, self._next = publisher, beat, 0.0

    def __call__(self, journal, now):
        alive.sign("worker")
        if now >= self._next:
            self._next = now + alive.BEAT
            self._beat()
        self._publisher.publish(journal, now)


class Actor:
    """Reads the truth, and runs states through this master (see :class:`pigsty.worker.Actor`)."""

    def __init__(self, inventory, access):
        self._inventory, self._access = inventory, access

    def truth(self, kind, subject):
        """Return the truth about one subject: keys and alerts only where it is about them."""
        topology = validate.usable(self._inventory)
        cluster = topology.pg_clusters.get(subject)
        views = self._access.of(topology, [cluster]) if cluster else {}
        alerts = prometheus.firing() if kind.startswith("alert.") else ()
        return replace(self._truth(topology, views), alerts=alerts)

    def whole(self):
        """Return the truth about everything."""
        topology = validate.usable(self._inventory)
        return self._truth(topology, self._access.all_views(topology))

    def _truth(self, topology, views):
        # The admin node's own minion may connect from any address of this machine.
        there = minions.connected(int(__opts__["publish_port"])) | {topology.admin_ip}
        journal = Journal()
        try:
            deployed = journal.settled("node.join", topology.admin_ip) is not None
        finally:
            journal.close()
        return Truth(topology, views, there, deployed)

    def turn(self):
        """Hold the turn to change machines, together with other reactions."""
        return turns.shared()

    def run(self, step):
        """Run the states of a step; a minion that doesn't answer has failed."""
        arguments = [] if step.sls == HIGHSTATE else [",".join(step.sls)]
        begin = time.monotonic()
        try:
            with salt.client.LocalClient(mopts=dict(__opts__)) as client:
                answers = client.cmd(list(step.hosts), "state.apply", arguments, tgt_type="list")
        except salt.exceptions.SaltException as error:
            raise ClientError(f"the Salt master: {error}") from error
        seconds = time.monotonic() - begin
        silent = "its minion didn't answer"
        return {
            host: returns.parse(host, answers.get(host, silent), seconds) for host in step.hosts
        }
