"""What this machine does not allow, gathered during a state run and said once at its end."""

from __future__ import annotations

__virtualname__ = "pigsty_note"

_KEY = "pigsty_note"


def __virtual__() -> str:
    """Load everywhere."""
    return __virtualname__


def add(topic: str, text: str) -> None:
    """Remember that something was left out in this state run, and why.

    Args:
        topic: what was left out, for example ``sysctl``; texts of one topic stand together.
        text: which part of it, and the reason.

    CLI Example: called by states; the run's last state, ``pigsty_node.left_out``, shows it.
    """
    notes = __context__.setdefault(_KEY, {}).setdefault(topic, [])
    if text not in notes:
        notes.append(text)


def notes() -> dict[str, list[str]]:
    """Return what was left out in this state run, by topic.

    CLI Example: called by states.
    """
    return {topic: list(texts) for topic, texts in sorted(__context__.get(_KEY, {}).items())}
