"""Every deadline of the project, by name, and the one way to wait for a condition.

A wait without a deadline hangs, and a deadline in the middle of some function is never found again:
so each stands here, with the reason for its size.
"""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

from pigsty.errors import PigstyError

POLL_SECONDS = 0.1
"""Between two looks: short against every deadline, long against what a look costs."""

DEADLINES: Mapping[str, float] = MappingProxyType(
    {
        # The sandbox. A node boots in about 5 s alone; four at once on two cores take thrice that.
        "sandbox.boot": 90.0,
        # An orderly shutdown: PostgreSQL's fast stop and systemd's own default job time-out.
        "sandbox.poweroff": 60.0,
        # Processes of a killed node are gone as soon as the kernel has reaped them.
        "sandbox.kill": 15.0,
        # A mount or a cgroup is busy until the last process that used it is reaped.
        "sandbox.release": 15.0,
        # One `pigsty sandbox` command waits for another, which may be building the images.
        "sandbox.lock": 900.0,
        # The Salt master imports, opens its ports; then its minions authenticate (3 to 10 s each).
        "salt.master": 60.0,
        "salt.minion": 90.0,
        # A reaction converges a bare node meanwhile, packages and a copy of the data included.
        "react.machine": 900.0,
        # One connection of ssh to a machine that is there, and one look around on it.
        "ssh.connect": 10.0,
        "enrolment.look": 30.0,
        # 45 MB of wheels come over ssh, and Salt is installed and compiled: 30 s on a small core.
        "enrolment.receive": 600.0,
        "enrolment.start": 120.0,
        # apt reads the lists of its sources anew and computes what is newer.
        "upgrade.look": 120.0,
        # One call of Patroni's REST API: it answers from memory, unless the machine is starved.
        "patroni.request": 5.0,
        # Patroni's process is up and its REST API listens: Python's start and the DCS.
        "patroni.rest": 60.0,
        # initdb, first start, default roles: 5 s alone, longer on a starved machine.
        "patroni.primary": 180.0,
        # A replica waits for its leader and copies the data; a large copy outlives the apply.
        "patroni.replica": 300.0,
        # Patroni answers a switchover when another member holds the leader key: the old leader's
        # last checkpoint comes before.
        "patroni.switchover": 90.0,
        # What a member tells the DCS of itself is up to a loop of Patroni old: two of the slowest
        # preset (`wide`, 20 s) before it is believed that nobody is fit to lead.
        "patroni.fit": 40.0,
        # The new leader's PostgreSQL takes writes; the old one is stopped, rewound and streams.
        "patroni.leads": 60.0,
        "patroni.follows": 120.0,
        # One member's PostgreSQL stops (with a checkpoint), starts and replays its log.
        "patroni.restart": 300.0,
        # Every member has read the cluster's maintenance mode: a loop of Patroni, or two.
        "patroni.pause": 60.0,
        # What follows from an event runs for seconds; an apply meanwhile waits so long.
        "apply.turn": 60.0,
        # An editor writes the inventory in several steps; this long without another, it has ended.
        "inventory.settles": 0.3,
        # The repository of the inventory answers: a small one, somewhere on the net.
        "git.command": 60.0,
        # git takes its locks away when it is told to end.
        "git.ends": 5.0,
        # All states of a machine look and change nothing: 6 s alone, ten times that on a busy one.
        "drift.look": 120.0,
        # The same of many machines, some at a time.
        "drift.looked": 1800.0,
        # Another process writes to the journal: milliseconds, unless the disk stalls.
        "journal.lock": 15.0,
        # One statement of the journal's copy in PostgreSQL: some hundred small rows.
        "journal.copy": 15.0,
        # A job of Salt reaches an idle minion in a fraction of a second.
        "follow.armed": 5.0,
        # A change of the dynamic configuration wakes Patroni, which compares it with PostgreSQL's.
        "patroni.notices": 15.0,
        # A standby cluster is promoted in seconds; one that follows again is rewound, or copied as
        # a whole where the log between the two is gone.
        "patroni.stands": 3600.0,
        # A replica whose leader follows another cluster now: PostgreSQL asks it every 5 s, Patroni
        # looks every 10. One that isn't there by then can't get there without a copy.
        "patroni.aligns": 60.0,
        # A replica copies the data of its cluster; Patroni goes on when nobody waits any longer.
        "patroni.reinit": 3600.0,
        # A local connection, and the postmaster reading its files again: both take milliseconds.
        "postgres.connect": 5.0,
        "postgres.reload": 10.0,
        # PostgreSQL reads a configuration and loads its libraries, in a folder of its own: 50 ms.
        "postgres.trial": 30.0,
        # All members of a cluster, applied at once, install the packages of a new library, and say
        # in their Patroni's tags that they have it.
        "patroni.libraries": 180.0,
        # Who lacked a library says otherwise: its states of the same run, then Patroni's next look.
        "patroni.tags": 20.0,
        # A lock that a client's transaction holds on an object of ours: it is taken up next time.
        "sql.lock": 15.0,
        # One statement: a copy of a large template, an extension that fills tables.
        "sql.statement": 900.0,
        # The file of SQL that fills a new database.
        "sql.baseline": 3600.0,
        # Another run on the same cluster finishes.
        "sql.turn": 300.0,
        # Patroni takes a new archive_command over at its next look, up to ten seconds later.
        "backup.archiving": 60.0,
        # One look into a repository: an object storage answers in seconds, or isn't there.
        "backup.info": 60.0,
        # A stanza is two small files; the server and the repository are asked for what they are.
        "backup.stanza": 120.0,
        # Archiving into a repository without a stanza fails within seconds, and is tried again.
        "backup.lock": 60.0,
        # A WAL segment is switched, and comes to the archive: pgBackRest itself waits for 60 s.
        "backup.check": 120.0,
        # The first full backup of a cluster, which an apply waits for.
        "backup.first": 3600.0,
        # A backup that a person asked for, of a database of some terabytes.
        "backup.run": 43200.0,
        # A fast shutdown writes a checkpoint.
        "restore.stop": 300.0,
        # A look at every file of a database: a million of them take some seconds.
        "restore.room": 120.0,
        # Files of some terabytes come back, and then the WAL of some days is replayed.
        "restore.files": 43200.0,
        "restore.recovery": 43200.0,
        # A replica copies all of it from the new leader.
        "restore.replica": 43200.0,
        # The CA's minion compiles its pillar and signs in 1 s; all nodes of a first apply ask.
        "pki.sign": 60.0,
        # The admin node downloads every package of the deployment; the others wait for that.
        "repo.ready": 900.0,
        # A few new packages are added to a repository that is there.
        "repo.rebuilt": 180.0,
        # One request for the repository's index: it is a small static file.
        "repo.request": 5.0,
        # nginx starts a new worker with the new certificate.
        "repo.served": 15.0,
        # Prometheus reads its log of some days at its start; one request to it is local.
        "monitoring.ready": 120.0,
        "monitoring.request": 5.0,
        # Alertmanager sends a message at once, over the loopback.
        "alerts.message": 5.0,
        # A search in the logs ends after 10 s with what it has; others may be before it.
        "logs.search": 25.0,
        # apt-get, while it downloads the closure of all packages.
        "repo.apt": 1800.0,
        # One call of etcd's API: it answers from memory, and writes in milliseconds.
        "etcd.request": 5.0,
        # A watch says nothing for hours: TCP's own probes find a peer that is gone.
        "etcd.silence": 12.0,
        # One query of Consul that doesn't wait for a change: the agent is near, and asks a server.
        "consul.request": 5.0,
        # However well the stream goes, everything is read again after this: a member of etcd that
        # lost its peers goes on to say nothing.
        "dcs.resync": 60.0,
        # A new etcd cluster needs a majority: other members still install their packages.
        "etcd.quorum": 300.0,
        # A member that restarts replays its log and finds the leader.
        "etcd.healthy": 60.0,
        # Every Patroni has asked the store who belongs to it, which it does every 300 s.
        "etcd.known": 310.0,
        # Members restart one after the other, each in turn holds the lock for a few seconds.
        "etcd.turn": 180.0,
        # One call of systemctl: a start waits for the daemon to say that it is ready (systemd's
        # own limit is 90 s).
        "node.systemctl": 120.0,
        # A check of a configuration or a loading of a kernel module: no wait for anything outside
        # the machine.
        "node.command": 30.0,
        # Another run of dpkg goes on (an apply that was killed leaves its apt behind), or ours
        # does.
        "node.dpkg": 600.0,
        # HAProxy's master starts a new worker, which parses and binds; the old one goes on until
        # then.
        "haproxy.reload": 15.0,
        # A minion asks its HAProxy by a socket: the minion's answer is what takes time.
        "haproxy.asked": 10.0,
        # `pigsty apply`. A connected minion answers as soon as it has forked a process for it; on
        # two cores that install packages on four nodes this takes seconds.
        "apply.presence": 30.0,
        # A minion without a connection can't answer; this is for one behind an address translation.
        "apply.stranger": 1.0,
        # The Salt master takes a job from its own socket in milliseconds, unless it is starved.
        "apply.publish": 30.0,
        # The core and the states are copied to a bare minion, and its loader reads them.
        "apply.sync": 120.0,
        # How often a run without news asks its minions whether they still work on it …
        "apply.ask": 15.0,
        # … and how many seconds without an answer or a progress event make a minion a lost one.
        "apply.silence": 60.0,
        # A job's return is in the cache right after its event; a bus that lost the event costs
        # this.
        "apply.look": 5.0,
        # PostgreSQL's last checkpoint, and PgBouncer's clients, when a member is removed.
        "removal.stop": 600.0,
        # A walk through all files of a data directory, and one look into the repository.
        "removal.measure": 120.0,
        # The key of a leader that was cut off without a goodbye: the longest ttl of the presets.
        "removal.leaderless": 150.0,
        # HAProxy's checks have seen a new member as often as `rise` says.
        "scaling.routed": 60.0,
        # `pigsty status` and `pigsty pgsql list` are looked at by people: who doesn't answer is
        # shown so.
        "status.request": 1.5,
        # The same of minions, for `pigsty pgsql show`: an answer takes a second, pgBackRest's look
        # into a repository that is far away some more.
        "show.minion": 8.0,
        # A server on this machine shows its certificate: two round trips.
        "pki.look": 2.0,
        # A daemon that was reloaded shows its new certificate: Patroni reads it at its next look,
        # up to ten seconds later, and then has PostgreSQL read it.
        "pki.served": 40.0,
        # A reloaded Patroni takes a new password at its next look.
        "patroni.reloads": 40.0,
    }
)


class DeadlineExceeded(PigstyError):
    """A condition did not come true before its deadline.

    Args:
        name: the deadline's name in `DEADLINES`.
        seconds: how long was waited.
        what: what was waited for, as a person would say it.
    """

    def __init__(self, name: str, seconds: float, what: str) -> None:
        super().__init__(f"{what}: not within {seconds:g} s (deadline {name})")
        self.name, self.seconds, self.what = name, seconds, what


def wait_until(
    condition: Callable[[], bool],
    deadline: str,
    what: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> float:
    """Look at a condition until it is true.

    Args:
        condition: returns True when the wait is over. It must be quick and have no side effect.
        deadline: a name in `DEADLINES`.
        what: what is waited for, for the error ("node-10 boots").
        clock: monotonic seconds; a test passes its own.
        sleep: takes seconds; a test passes its own.

    Returns:
        How long it took, in seconds.

    Raises:
        DeadlineExceeded: the condition was still false at the deadline.
        KeyError: there is no deadline of that name.
    """
    limit = DEADLINES[deadline]
    begin = clock()
    while not condition():
        if clock() - begin >= limit:
            raise DeadlineExceeded(deadline, limit, what)
        sleep(POLL_SECONDS)
    return clock() - begin
