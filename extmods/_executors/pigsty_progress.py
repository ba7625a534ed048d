"""Run a state function as `pigsty apply` wants it: an executor, chosen per job.

It tells the master how far the states are.

Salt's own ``state_events`` opens a connection for every state: measured, 54 ms of CPU time each,
which makes a run without changes seven times as long. Here the states only count, and a thread
sends the latest count over the minion's open connection, a few times a second at most.

The events are ``pigsty/apply/node/{begin,step,end}``; their data has the keys ``jid``, ``done``,
``total``, ``changed``, ``failed`` and ``state`` (the id of the state that runs now). They hold no
result and no value of any parameter. The result of the job is its return, as ever.

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
#: Seconds between two events of a run: smooth to look at, and next to nothing for the minion.
INTERVAL = 0.3
#: What states are run by. Anything else is called as if we weren't there.
FUNCTIONS = ("state.apply", "state.highstate", "state.sls")


def execute(opts, data, func, args, kwargs):
    """Call the function; while states run, send how far they are.

    CLI Example:

    .. code-block:: bash

        salt --module-executors='[pigsty_progress]' '*' state.apply
    """
    if data.get("fun") not in FUNCTIONS:
        return func(*args, **kwargs)
    synced = (data.get("executor_opts") or {}).get("synced", False)
    with (
        _Reporter(opts, str(data.get("jid", ""))) as reporter,
        _counting(reporter),
        _without_sync() if synced else contextlib.nullcontext(),
    ):
        return func(*args, **kwargs)


class _Reporter:
    """Counts states, and sends the counts from a thread of its own.

    Args:
        opts: the minion's configuration.
        jid: the job.
    """

    def __init__(self, opts, jid):
        self._opts = opts
        self._stop = threading.Event()
        self._counts = {"jid": jid, "done": 0, "total": 0, "changed": 0, "failed": 0, "state": ""}
        self._thread = threading.Thread(target=self._run, name="pigsty-progress", daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_exc):
        self._stop.set()
        # The minion takes an event in milliseconds; a stuck one must not hold the job.
        self._thread.join(timeout=INTERVAL * 10)

    def started(self, low):
        """A state begins: `low` is its compiled form."""
        self._counts = {**self._counts, "state": f"{low.get('state')}: {low.get('__id__')}"}

    def finished(self, result, total):
        """A state is done: `result` is what it returned, `total` how many there are."""
        counts = dict(self._counts)
        counts["total"] = total
        counts["done"] += 1
        counts["changed"] += bool(result.get("changes"))
        counts["failed"] += result.get("result") is False
        self._counts = counts

    def _run(self):
        try:
            with salt.utils.event.MinionEvent(self._opts, listen=False) as bus:
                sent = self._counts
                self._send(bus, "begin", sent)
                while not self._stop.wait(INTERVAL):
                    if self._counts is not sent:
                        sent = self._counts
                        self._send(bus, "step", sent)
                self._send(bus, "end", {**self._counts, "state": ""})
        except Exception:
            # Progress is a courtesy: whatever happens to it, the states go on.
            log.warning("progress of job %s can't be sent", self._counts["jid"], exc_info=True)

    @staticmethod
    def _send(bus, phase, counts):
        event = {"data": counts, "tag": f"{TAG}/{phase}", "events": None, "pretag": None}
        bus.fire_event(event, "fire_master")


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
