"""The Salt master of this machine, as the commands need it: a few calls of LocalClient.

Salt is imported when a :class:`Master` is made, because it takes a quarter of a second.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pigsty.clients import minions
from pigsty.deadlines import DEADLINES
from pigsty.errors import PigstyError
from pigsty_cli import exitcodes
from pigsty_cli.errors import full_disks

#: Configuration of the Salt master; the environment variable is Salt's own.
CONFIG = Path(os.environ.get("SALT_MASTER_CONFIG", "/etc/salt/master"))
#: The executor that reports progress, synced from `extmods/_executors`.
EXECUTOR = "pigsty_progress"
#: Salt's tag of the event that stands for Ctrl-C in its reader.
_INTERRUPT = "salt/event/exit"


class SaltError(PigstyError):
    """The Salt master can't be used from here, or refused."""

    exit_code = exitcodes.REFUSED


@dataclass(frozen=True, slots=True)
class Published:
    """A job that the master took: its id, and those of the minions whose key is accepted."""

    jid: str
    minions: frozenset[str]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A job of the past or present: who it was sent to, and whether it only looked."""

    minions: frozenset[str]
    test: bool


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the master's bus."""

    tag: str
    data: Any


class Master:
    """A connection to the Salt master that runs on this machine.

    Use it in a ``with`` statement: its event reader holds a socket.

    Raises:
        SaltError: there is no master here, or this user may not use it.
    """

    def __init__(self, config: Path = CONFIG) -> None:
        # The main file is optional: what `pigsty init` writes stands in master.d.
        if not (config.exists() or config.with_name("master.d").is_dir()):
            raise SaltError(
                f"no Salt master on this machine ({config} isn't there): run this on the admin "
                "node, or make this machine one with `pigsty init`"
            )
        try:
            import salt.client
            import salt.config

            self._opts: dict[str, Any] = salt.config.master_config(str(config))
            self._client = salt.client.LocalClient(mopts=self._opts)
        except OSError as error:
            raise SaltError(f"the Salt master of this machine: {error} (are you root?)") from error
        except ImportError as error:
            raise SaltError(f"Salt isn't installed beside this command: {error}") from error
        except Exception as error:  # what SystemExit-like error Salt raises differs by release
            raise SaltError(f"the Salt master of this machine: {error}") from error
        # Readers first: what happens between publishing and reading must not be missed.
        if not self._client.event.connect_pub(timeout=DEADLINES["apply.publish"]):
            self.close()
            raise SaltError("the Salt master doesn't run: `systemctl status salt-master` says why")

    def __enter__(self) -> Master:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back sockets."""
        self._client.destroy()

    def publish(
        self,
        hosts: Sequence[str],
        function: str | Sequence[str],
        arguments: Sequence[Any] = (),
        keywords: Mapping[str, Any] | None = None,
        executor: str = "",
        options: Mapping[str, Any] | None = None,
    ) -> Published:
        """Start a job and return at once.

        Args:
            hosts: minion ids.
            function: an execution function, or several (then ``arguments`` has a list for each).
            arguments: positional arguments.
            keywords: keyword arguments; for one function only.
            executor: the executor module that calls it, Salt's own if empty.
            options: what that executor takes.

        Raises:
            SaltError: the master refused or didn't answer.
        """
        arg = list(arguments)
        if keywords:
            arg.append({**keywords, "__kwarg__": True})
        more: dict[str, Any] = {}
        if executor:
            more = {"module_executors": [executor], "executor_opts": dict(options or {})}
        try:
            taken = self._client.pub(
                list(hosts),
                function if isinstance(function, str) else list(function),
                arg,
                tgt_type="list",
                timeout=int(DEADLINES["apply.publish"]),
                listen=True,
                **more,
            )
        except Exception as error:
            # The master doesn't say why it can't write its records.
            full = full_disks()
            why = f"no space left on device ({full})" if full else error
            raise SaltError(f"the Salt master didn't take the job: {why}") from error
        if not taken:
            raise SaltError("the Salt master refused the job: are you root?")
        return Published(str(taken["jid"]), frozenset(taken["minions"]))

    def next_event(self, seconds: float) -> Event | None:
        """Wait for the next event, whatever it is.

        Returns:
            The event, or None when there was none for so many seconds.

        Raises:
            KeyboardInterrupt: Ctrl-C.
        """
        if seconds <= 0:
            event = self._client.event.get_event(full=True, no_block=True)
        else:
            event = self._client.event.get_event(wait=seconds, full=True, auto_reconnect=True)
        if event is None:
            return None
        if event["tag"] == _INTERRUPT:
            raise KeyboardInterrupt
        return Event(str(event["tag"]), event["data"])

    def returns(self, jid: str) -> dict[str, Any]:
        """Return what the minions have returned for a job so far, from the master's job cache."""
        return {host: data.get("ret") for host, data in self._client.get_cache_returns(jid).items()}

    def job(self, jid: str) -> Recorded:
        """Return what the master remembers of a job.

        Raises:
            SaltError: it knows no such job (it forgets them after a day).
        """
        cache = self._opts["master_job_cache"]
        load = self._client.returners[f"{cache}.get_load"](jid) if jid.isdigit() else None
        if not load or not load.get("Minions"):
            raise SaltError(f"the Salt master knows no job {jid!r} (it keeps them for a day)")
        options = [word for word in load.get("arg", ()) if isinstance(word, Mapping)]
        return Recorded(frozenset(load["Minions"]), any(map(_asks_test, options)))

    def collect(self, job: Published, deadline: Callable[[str], float]) -> dict[str, Any]:
        """Wait for the returns of a quick job.

        Args:
            job: from :meth:`publish`.
            deadline: seconds to wait for a minion.

        Returns:
            The returns by minion; who didn't answer is missing.
        """
        return self.collect_all([job], deadline)[0]

    def collect_all(
        self, jobs: Sequence[Published], deadline: Callable[[str], float]
    ) -> list[dict[str, Any]]:
        """Wait for the returns of quick jobs that run side by side.

        One after the other they would lose each other's: who waits for a job takes all events.

        Args:
            jobs: from :meth:`publish`.
            deadline: seconds to wait for a minion.

        Returns:
            For each job its returns by minion; who didn't answer is missing.
        """
        begin = time.monotonic()
        limits = {(j.jid, host): begin + deadline(host) for j in jobs for host in j.minions}
        found: dict[str, dict[str, Any]] = {job.jid: {} for job in jobs}
        while True:
            now = time.monotonic()
            waiting = [
                limit
                for (jid, host), limit in limits.items()
                if host not in found[jid] and limit > now
            ]
            if not waiting:
                return [found[job.jid] for job in jobs]
            event = self.next_event(max(waiting) - now)
            if event is None or not isinstance(event.data, Mapping):
                continue
            words = event.tag.split("/")
            if words[:2] == ["salt", "job"] and words[3:4] == ["ret"] and words[2] in found:
                # The id is the authenticated sender's: the master checks it for a job's return.
                found[words[2]][str(event.data.get("id"))] = event.data.get("return")

    def forget(self, host: str) -> bool:
        """Delete every key of an id; Salt puts an event on the bus.

        Returns:
            Whether there was one.

        Raises:
            SaltError: this user may not, or Salt failed.
        """
        import salt.key

        try:
            with salt.key.Key(self._opts) as known:
                found = known.glob_match(host)
                known.delete_key(match=host)
        except Exception as error:
            raise SaltError(f"the key of {host} can't be deleted: {error}") from error
        return any(found.values())

    def fire(self, tag: str, data: Mapping[str, Any]) -> None:
        """Put an event on the master's bus."""
        self._client.event.fire_event(dict(data), tag)

    def started(self) -> float | None:
        """Return when the master was started (seconds since 1970), or None when that is unknown."""
        try:
            return Path(self._opts["pidfile"]).stat().st_mtime
        except OSError:
            return None

    def connected(self) -> frozenset[str]:
        """Return the addresses that the kernel has connections of to the master's publisher."""
        return minions.connected(int(self._opts["publish_port"]))


def _asks_test(options: Mapping[str, Any]) -> bool:
    return bool(options.get("test"))
