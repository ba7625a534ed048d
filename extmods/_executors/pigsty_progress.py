"""Run a function so that who waits for it sees how far it is: an executor, chosen per job.

Of a state function, as `pigsty apply` calls it, it tells the master how far the states are.

Salt's own ``state_events`` opens a connection for every state: measured, 54 ms of CPU time each,
which makes a run without changes seven times as long. Here the states only count, and a thread
sends the latest count over the minion's open connection, a few times a second at most.

The events are ``pigsty/apply/node/{begin,step,end}``; their data has the keys ``jid``, ``done``,
``total``, ``changed``, ``failed`` and ``state`` (the id of the state that runs now). They hold no
result and no value of any parameter. The result of the job is its return, as ever.

Of another function of ours (a backup, a restore) it tells what that function says itself, through
``pigsty_work.tell``, once a second at most: ``pigsty/work/node/step`` with ``jid``, ``phase``,
``done`` and ``total`` (bytes), ``detail``. One that says nothing costs nothing.

And with ``executor_opts: {synced: True}`` a highstate doesn't copy modules first, because who asks
has compared fingerprints already. Salt's own synchronisation asks the master for eighteen lists of
files, each over a connection of its own: measured, two thirds of a run without changes.
"""

from __future__ import annotations

import contextlib
import logging
import threading

import salt.state
import salt.utils.event

log = logging.getLogger(__name__)

#: Tag of the events, without its last part. `pigsty.events` has the table of tags; the core isn't
#: importable here, because Salt gives executors no path to the synced packages.
TAG = "pigsty/apply/node"
WORK = "pigsty/work/node"
#: Seconds between two events of a run: smooth to look at, and next to nothing for the minion.
INTERVAL = 0.3
#: The same of one long function, which may take hours.
WORK_INTERVAL = 1.0
#: What states are run by.
FUNCTIONS = ("state.apply", "state.highstate", "state.sls")
#: What functions of ours begin with. Anything else is called as if we weren't there.
OURS = "pigsty_"


def execute(opts, data, func, args, kwargs):
    """Call the function; while it runs, send how far it is.

    CLI Example:

    .. code-block:: bash

        salt --module-executors='[pigsty_progress]' '*' state.apply
    """
    if str(data.get("fun")).startswith(OURS):
        with _Teller(opts, str(data.get("jid", ""))) as teller, _listening(teller):
            return func(*args, **kwargs)
    if data.get("fun") not in FUNCTIONS:
        return func(*args, **kwargs)
    synced = (data.get("executor_opts") or {}).get("synced", False)
    with (
        _Reporter(opts, str(data.get("jid", ""))) as reporter,
        _counting(reporter),
        _listening(reporter),
        _without_sync() if synced else contextlib.nullcontext(),
    ):
        return func(*args, **kwargs)


class _Sender:
    """Sends what is told last from a thread of its own, so that nobody waits for an event.

    Args:
        opts: the minion's configuration.
        told: what is sent first.
        interval: seconds between two events.
    """

    def __init__(self, opts, told, interval):
        self._opts, self._told, self._interval = opts, told, interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pigsty-progress", daemon=True)

    def __exit__(self, *_exc):
        self._stop.set()
        if self._thread.is_alive():
            # The minion takes an event in milliseconds; a stuck one must not hold the job.
            self._thread.join(timeout=INTERVAL * 10)

    def _run(self):
        try:
            with salt.utils.event.MinionEvent(self._opts, listen=False) as bus:
                self._work(bus)
        except Exception:
            # Progress is a courtesy: whatever happens to it, the work goes on.
            log.warning("progress of job %s can't be sent", self._told["jid"], exc_info=True)

    def _steps(self, bus, tag, sent=None):
        """Send what is new until the job ends; return what was sent last."""
        while True:
            if self._told is not sent:
                sent = self._told
                self._send(bus, tag, sent)
            if self._stop.wait(self._interval):
                return sent

    @staticmethod
    def _send(bus, tag, told):
        bus.fire_event({"data": told, "tag": tag, "events": None, "pretag": None}, "fire_master")


class _Reporter(_Sender):
    """Counts states, and sends the counts.

    Args:
        opts: the minion's configuration.
        jid: the job.
    """

    def __init__(self, opts, jid):
        self._state = ""
        counts = {"jid": jid, "done": 0, "total": 0, "changed": 0, "failed": 0, "state": ""}
        super().__init__(opts, counts, INTERVAL)

    def __enter__(self):
        self._thread.start()
        return self

    def started(self, low):
        """A state begins: `low` is its compiled form."""
        self._state = f"{low.get('state')}: {low.get('__id__')}"
        self._told = {**self._told, "state": self._state}

    def tell(self, stage):
        """The state that runs now says how far it is (a cluster's first backup)."""
        share = f", {100 * stage['done'] // stage['total']} %" if stage["total"] else ""
        self._told = {**self._told, "state": f"{self._state}: {stage['phase']}{share}"}

    def finished(self, result, total):
        """A state is done: `result` is what it returned, `total` how many there are."""
        counts = dict(self._told)
        counts["total"] = total
        counts["done"] += 1
        counts["changed"] += bool(result.get("changes"))
        counts["failed"] += result.get("result") is False
        self._told = counts

    def _work(self, bus):
        begin = self._told
        self._send(bus, f"{TAG}/begin", begin)
        self._steps(bus, f"{TAG}/step", begin)
        self._send(bus, f"{TAG}/end", {**self._told, "state": ""})


class _Teller(_Sender):
    """Sends what one function says of itself, from its first word on.

    Args:
        opts: the minion's configuration.
        jid: the job.
    """

    def __init__(self, opts, jid):
        super().__init__(opts, {"jid": jid}, WORK_INTERVAL)
        self._begun = False

    def __enter__(self):
        return self

    def tell(self, stage):
        """Take how far the function is: the fields of a `pigsty.stages.Stage`."""
        self._told = {"jid": self._told["jid"], **stage}
        if not self._begun:
            self._begun = True
            self._thread.start()

    def _work(self, bus):
        tag = f"{WORK}/step"
        if self._steps(bus, tag) is not self._told:
            self._send(bus, tag, self._told)


@contextlib.contextmanager
def _listening(teller):
    """Let the functions of this job reach the teller; without their module there is nothing."""
    listen = __salt__.get("pigsty_work.listen", lambda _teller: None)
    listen(teller.tell)
    try:
        yield
    finally:
        listen(None)


@contextlib.contextmanager
def _counting(reporter):
    """Let the state compiler of this job's process tell the reporter what it does."""
    call, event = salt.state.State.call, salt.state.State.event

    def counted_call(self, low, *args, **kwargs):
        reporter.started(low)
        return call(self, low, *args, **kwargs)

    def counted_event(self, chunk_ret, length, fire_event=False):
        reporter.finished(chunk_ret, length)
        return event(self, chunk_ret, length, fire_event=fire_event)

    salt.state.State.call, salt.state.State.event = counted_call, counted_event
    try:
        yield
    finally:
        salt.state.State.call, salt.state.State.event = call, event


@contextlib.contextmanager
def _without_sync():
    """Let a highstate of this job's process work with the modules that are there."""
    load = salt.state.BaseHighState.load_dynamic
    salt.state.BaseHighState.load_dynamic = lambda self, matches: None
    try:
        yield
    finally:
        salt.state.BaseHighState.load_dynamic = load
