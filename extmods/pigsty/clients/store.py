"""A store (etcd or Consul): everything at once, then what changes; and what has to go.

One small interface, so that whoever watches or clears up doesn't care which store a cluster uses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from pigsty.errors import ClientError


class Gap(ClientError):
    """The store no longer has what happened since the last look: everything has to be read anew."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All keys below a prefix at one moment.

    Attributes:
        revision: the store's revision (etcd) or index (Consul) at that moment.
        pairs: keys and values.
    """

    revision: int
    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Update:
    """What has changed since the last one.

    Attributes:
        revision: the revision that it brings a reader to.
        pairs: keys and their new values, None where the key is gone; in the order of the changes.
    """

    revision: int
    pairs: Sequence[tuple[str, str | None]]


@dataclass(frozen=True, slots=True)
class Source:
    """A store, and the part of it that matters.

    Attributes:
        store: to be read and watched.
        namespace: Patroni's, for example ``/pg/``.
    """

    store: Store
    namespace: str


class Store(Protocol):
    """A store that can be read and watched, and whose keys can be deleted."""

    def read(self, prefix: str) -> Snapshot:
        """Return everything below a prefix.

        Raises:
            ClientError: it didn't answer, or refused.
        """

    def watch(self, prefix: str, revision: int) -> Iterator[Update]:
        """Yield what changes below a prefix after a revision.

        An update without pairs says that the store is alive. It ends after a long silence.

        Raises:
            Gap: what came after the revision is forgotten.
            ClientError: the connection ended, or was refused.
        """

    def delete(self, key: str) -> None:
        """Delete a key, or all below a prefix: one that ends with a slash. None is no error.

        Raises:
            ClientError: it didn't answer, or refused.
        """
