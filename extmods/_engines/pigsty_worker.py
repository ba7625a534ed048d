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
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import salt.client
import salt.exceptions
import salt.utils.event

from pigsty import alive, applied, drift, events, kept, returns, service, turns
from pigsty.archiving import Archiver
from pigsty.clients import keys, minions, prometheus
from pigsty.clients.archive import Archive
from pigsty.clients.stores import Access
from pigsty.clients.textfile import LogCount, Publisher
from pigsty.deadlines import DEADLINES
from pigsty.errors import ClientError
from pigsty.journal import Journal
from pigsty.kept import Kept
from pigsty.occupied import Occupied
from pigsty.platform import of_grains
from pigsty.reactions.truth import HIGHSTATE, Truth

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
    keys_of = Path(__opts__["pki_dir"])
    log = LogCount(Path(__opts__["log_file"]))
    stop = threading.Event()
    archiver = Archiver(Journal, actor.copy)
    threading.Thread(target=archiver.run, args=(stop,), name="journal copy", daemon=True).start()
    port = int(__opts__["publish_port"])
    publisher = Publisher(inventory, port, keys_of, log, archiver.behind)
    with salt.utils.event.get_master_event(__opts__, __opts__["sock_dir"], listen=False) as bus:
        tell = _Teller(publisher, lambda: bus.fire_event({}, events.tag("beat")))
        service.serve(Journal, actor, actor.whole, time.time, stop, tell)


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
        self._inventory, self._access, self._kept = inventory, access, Kept()
        self._machines = Occupied()

    def truth(self, kind, subject):
        """Return the truth about one subject: keys and alerts only where it is about them."""
        served = kept.serving(self._inventory, self._kept.good)
        topology = served.topology
        cluster = topology.pg_clusters.get(subject)
        views = self._access.of(topology, [cluster]) if cluster else {}
        hosts = {
            "inventory.changed": tuple(topology.nodes),
            "node.join": (subject,),
            drift.KIND: (subject,),
        }
        alerts = prometheus.firing() if kind.startswith("alert.") else ()
        return replace(self._truth(served, views, hosts.get(kind, ())), alerts=alerts)

    def whole(self):
        """Return the truth about everything."""
        served = kept.serving(self._inventory, self._kept.good)
        topology = served.topology
        return self._truth(
            served, self._access.all_views(topology), tuple(topology.nodes), again=False
        )

    def _truth(self, served, views, hosts, again=True):
        topology = served.topology
        # The admin node's own minion may connect from any address of this machine.
        there = minions.connected(int(__opts__["publish_port"])) | {topology.admin_ip}
        with closing(Journal()) as journal:
            deployed = journal.settled("node.join", topology.admin_ip) is not None
            basis = applied.current(topology, self._access.key, self._access.pki / "ca.crt")
            meant = tuple(host for host in hosts if host in topology.nodes)
            change = None
            told = journal.settled("inventory.changed", "inventory") or ""
            # Comparing a thousand hosts takes seconds: not every few minutes for the same edit.
            if meant and basis and (again or not told.startswith(basis.id)):
                change = applied.look(journal, self._kept, basis, of_grains({}), meant)
        return Truth(
            topology,
            views,
            there,
            deployed,
            change=change,
            trouble=served.trouble,
            basis=basis,
            keys=keys.read(),
        )

    def note(self, truth, ran):
        """Write down what hosts were applied with."""
        if truth.basis and ran:
            with closing(Journal()) as journal:
                applied.note(journal, self._kept, truth.basis, of_grains({}), ran)

    def copy(self):
        """Return the database that the inventory wants a copy of the journal in; None for none."""
        topology = kept.serving(self._inventory, self._kept.good).topology
        return Archive.of(topology, self._access.key, self._access.pki / "ca.crt")

    def turn(self):
        """Hold the turn to change machines, together with other reactions."""
        return turns.shared()

    def tell(self, kind, host, data):
        """Put an event about a host on the bus."""
        with salt.utils.event.get_master_event(__opts__, __opts__["sock_dir"], listen=False) as bus:
            bus.fire_event(dict(data), events.tag(kind, id=host))

    def run(self, step):
        """Run the states of a step; a minion that doesn't answer has failed."""
        # Another reaction that runs states on one of them ends first.
        with self._machines.hold(step.hosts):
            return self._look(step) if step.audit else self._apply(step)

    def _apply(self, step):
        arguments = [] if step.sls == HIGHSTATE else [",".join(step.sls)]
        begin = time.monotonic()
        try:
            # A machine that installs packages may be slow to say that it is still at work.
            options = {**__opts__, "gather_job_timeout": int(DEADLINES["apply.silence"])}
            with salt.client.LocalClient(mopts=options) as client:
                answers = client.cmd(list(step.hosts), "state.apply", arguments, tgt_type="list")
        except salt.exceptions.SaltException as error:
            raise ClientError(f"the Salt master: {error}") from error
        seconds = time.monotonic() - begin
        silent = "its minion didn't answer"
        return {
            host: returns.parse(host, answers.get(host, silent), seconds) for host in step.hosts
        }

    def _look(self, step):
        """Ask which states would do something."""
        limit = int(DEADLINES["drift.look"])
        try:
            with salt.client.LocalClient(mopts=dict(__opts__)) as client:

                def ask(function, hosts):
                    return client.cmd(hosts, function, tgt_type="list", timeout=limit)

                answers = ask("pigsty_drift.check", list(step.hosts))
                # A text is Salt's word that it has no such function: it has older modules of ours.
                if old := [host for host, answer in answers.items() if isinstance(answer, str)]:
                    ask("saltutil.sync_all", old)
                    answers |= ask("pigsty_drift.check", old)
        except salt.exceptions.SaltException as error:
            raise ClientError(f"the Salt master: {error}") from error
        return {host: drift.parse(host, answers.get(host)) for host in step.hosts}
