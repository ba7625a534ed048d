"""Engine: watch the clusters in etcd and Consul and put every change on the event bus.

Configuration of the master::

    engines:
      - pigsty_dcs:
          inventory: /etc/pigsty/pigsty.yml
          key: /etc/pigsty/secret.key
          pki: /etc/pigsty/pki

Events (data as in :data:`pigsty.events.FIELDS`):

``pigsty/pgsql/<cluster>/leader``
    Another member leads than before: ``cluster``, ``leader``, ``previous``, ``timeline``.
``pigsty/pgsql/<cluster>/member``
    A member came, left, or changed its state: ``cluster``, ``member``, ``change``, ``state``.
"""

import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import salt.utils.event

from pigsty import alive, events, kept, keyspace
from pigsty.clients.stores import Access, names
from pigsty.journal import Journal
from pigsty.kept import Kept
from pigsty.watcher import Watcher

__virtualname__ = "pigsty_dcs"


def __virtual__():
    """Load on a master only."""
    return __virtualname__ if __opts__.get("__role") == "master" else (False, "for masters")


def start(inventory, key, pki):
    """Watch until the process ends.

    Args:
        inventory: path of the inventory.
        key: path of the deployment's key.
        pki: folder of the CA.
    """
    access = Access(Path(key), Path(pki))
    stop = threading.Event()
    # The events of both stores go out by one connection, one after the other.
    turn = threading.Lock()
    with salt.utils.event.get_master_event(__opts__, __opts__["sock_dir"], listen=False) as bus:

        def declared():
            # An inventory that is being edited, and can't be read just now, must not end a watch.
            return kept.serving(inventory, Kept().good).topology

        def emit(change):
            cluster = names(declared()).get(change.cluster, change.cluster)
            tag = events.tag(f"pgsql.{change.kind}", cluster=cluster)
            with turn:
                bus.fire_event({**change.data, "cluster": cluster}, tag)

        def followed(scope):
            cluster = names(declared()).get(scope, scope)
            with closing(Journal()) as journal:
                return journal.settled("pgsql.leader", cluster) or ""

        def watch(kind):
            Watcher(
                open_source=lambda: access.source(declared(), kind),
                emit=emit,
                followed=followed,
                took=lambda: alive.sign("dcs"),
            ).run(stop)

        # Salt starts an engine anew that has ended: one watch that ends ends the others.
        with ThreadPoolExecutor(len(keyspace.KINDS), thread_name_prefix="watch") as pool:
            watches = [pool.submit(watch, kind) for kind in keyspace.KINDS]
            try:
                wait(watches, return_when=FIRST_COMPLETED)
            finally:
                stop.set()
        for ended in watches:
            ended.result()
