"""A Salt master made of data: its minions answer at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pigsty.clients import extmods
from pigsty_cli import applying
from pigsty_cli.saltapi import Event, Published

META, ONE, TWO, THREE = (f"10.10.10.{n}" for n in (10, 11, 12, 13))
#: The hosts of the sandbox's inventory.
ALL = (META, ONE, TWO, THREE)
#: What a minion returns of one state with nothing to do, and of states that don't compile.
GOOD = {"x_|-y_|-y_|-z": {"result": True, "changes": {}, "__run_num__": 0}}
BAD = ["states didn't compile"]
#: What an idle minion that has our modules says when asked who is there.
SYNCED = {
    "saltutil.is_running": [],
    "pigsty_extmods.fingerprint": extmods.fingerprint(applying.EXTMODS, "_"),
}


class Master:
    """A Salt master whose minions answer at once, with what `states` says for an SLS list."""

    def __init__(self, **states: Any) -> None:
        self.published: list[dict[str, Any]] = []
        self.accepted = set(ALL)
        self.links = set(ALL)
        self.answers: dict[str, Any] = dict.fromkeys(ALL, SYNCED)
        self.synced = set(ALL)
        self.states = states
        self.limits: dict[str, float] = {}
        self.start: float | None = None

    def publish(
        self,
        hosts: Sequence[str],
        function: str | Sequence[str],
        arguments: Sequence[Any] = (),
        keywords: Mapping[str, Any] | None = None,
        executor: str = "",
        options: Mapping[str, Any] | None = None,
    ) -> Published:
        self.published.append(
            {
                "hosts": tuple(hosts),
                "function": function if isinstance(function, str) else tuple(function),
                "arguments": list(arguments),
                "keywords": dict(keywords or {}),
                "executor": executor,
                "options": dict(options or {}),
            }
        )
        return Published(str(len(self.published) - 1), frozenset(hosts) & self.accepted)

    def collect(self, job: Published, deadline: Callable[[str], float]) -> dict[str, Any]:
        self.limits = {host: deadline(host) for host in job.minions}
        if self.published[int(job.jid)]["function"][0] == "saltutil.sync_all":
            return {host: {} for host in job.minions & self.synced}
        return {host: data for host, data in self.answers.items() if host in job.minions}

    def started(self) -> float | None:
        return self.start

    def connected(self) -> frozenset[str]:
        return frozenset(self.links - {META})

    def next_event(self, seconds: float) -> Event | None:
        return None

    def returns(self, jid: str) -> dict[str, Any]:
        sent = self.published[int(jid)]
        sls = sent["arguments"][0] if sent["arguments"] else "highstate"
        return dict.fromkeys(sent["hosts"], self.states.get(sls.replace(".", "_"), GOOD))

    @property
    def applied(self) -> list[tuple[tuple[str, ...], list[str]]]:
        return [(s["hosts"], s["arguments"]) for s in self.published
                if s["function"] == "state.apply"]  # fmt: skip
