"""Reading, watching and deleting keys of etcd, through whichever member answers.

etcd's JSON gateway answers a watch with a stream: one JSON object a line, with base64 keys and
numbers as strings. What a line says is in :func:`update`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, TypeVar

from pigsty.clients.etcd import Etcd, EtcdError, Stream, decode, encode
from pigsty.clients.store import Gap, Snapshot, Update
from pigsty.deadlines import DEADLINES
from pigsty.errors import ClientError

Answer = TypeVar("Answer")


class EtcdStore:
    """The members of an etcd cluster as one store.

    Args:
        members: clients of the members. The one that answered last is asked first.
        user: who asks; "": the clients are somebody already.
        password: that user's.
    """

    def __init__(self, members: Sequence[Etcd], user: str = "", password: str = "") -> None:
        self._members = list(members)
        self._user, self._password = user, password

    def read(self, prefix: str) -> Snapshot:
        """Return everything below a prefix; linearizable, so never older than an earlier answer.

        Raises:
            ClientError: no member answered, or it refused.
        """

        def ask(member: Etcd) -> Snapshot:
            answer = member.call("kv/range", _range(prefix))
            rows = answer.get("kvs", ())
            pairs = [(decode(row["key"]), decode(row.get("value", ""))) for row in rows]
            return Snapshot(int(answer["header"]["revision"]), pairs)

        return self._first(ask)

    def watch(self, prefix: str, revision: int) -> Iterator[Update]:
        """Yield what changes below a prefix after a revision, until the connection ends.

        Raises:
            Gap: the revisions after it were compacted.
            ClientError: the connection ended, or no member took the watch.
        """
        create = {**_range(prefix), "start_revision": str(revision + 1), "progress_notify": True}

        def begin(member: Etcd) -> Stream:
            return member.stream("watch", {"create_request": create}, DEADLINES["dcs.resync"])

        with closing(self._first(begin)) as stream:
            for line in stream:
                yield update(line)

    def delete(self, key: str) -> None:
        """Delete a key, or all below one that ends with a slash; none is no error.

        Raises:
            ClientError: no member answered, or it refused.
        """
        body = _range(key) if key.endswith("/") else {"key": encode(key)}
        self._first(lambda member: member.call("kv/deleterange", body))

    def _first(self, ask: Callable[[Etcd], Answer]) -> Answer:
        """Return the answer of the first member that has one."""
        problem: ClientError | None = None
        for member in list(self._members):
            try:
                if self._user:
                    member.authenticate(self._user, self._password)
                answer = ask(member)
            except ClientError as error:
                problem = error
                continue
            self._members.remove(member)
            self._members.insert(0, member)
            return answer
        raise problem or ClientError("etcd: there are no members to ask")


def update(line: Mapping[str, Any]) -> Update:
    """Return what a line of a watch's stream says.

    Raises:
        Gap: the watch begins before what etcd has kept.
        EtcdError: it was refused, or broken off for another reason.
    """
    if "error" in line:
        raise EtcdError(str(line["error"].get("message", line["error"])), "watch")
    result = line.get("result", {})
    if int(result.get("compact_revision", 0)):
        raise Gap(f"etcd: revisions before {result['compact_revision']} were compacted")
    if result.get("canceled"):
        raise EtcdError(str(result.get("cancel_reason") or "cancelled"), "watch")
    pairs: list[tuple[str, str | None]] = []
    for event in result.get("events", ()):
        row = event["kv"]
        gone = event.get("type") == "DELETE"
        pairs.append((decode(row["key"]), None if gone else decode(row.get("value", ""))))
    return Update(int(result.get("header", {}).get("revision", 0)), pairs)


def _range(prefix: str) -> dict[str, str]:
    """Return the range of all keys below a prefix that ends with a slash."""
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    return {"key": encode(prefix), "range_end": encode(end)}
