"""How far a run is, on standard error: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from pigsty.deadlines import wait_until
from pigsty.events import ApplyStep, WorkStep
from pigsty.returns import HostResult
from pigsty.wording import lasted, sized

if TYPE_CHECKING:
    from rich.table import Table

#: How far a host is, with its states or with one long function.
Step = ApplyStep | WorkStep
#: Without a terminal, a host that has gone on is mentioned this often (seconds) …
PLAIN_INTERVAL = 10.0
#: … and one that still does the same, this often.
PLAIN_PATIENCE = 60.0
#: How each end of a host is drawn: a sign and a colour.
SIGNS: Mapping[str, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "changed": ("✓", "yellow"),
    "failed": ("✗", "red"),
    "unreachable": ("✗", "red"),
    "lost": ("✗", "red"),
}


@dataclass(slots=True)
class _Row:
    name: str
    begin: float
    step: Step | None = None
    result: HostResult | None = None
    said: float = 0.0
    text: str | None = None


class Lines:
    """Progress as plain lines: one when a host ends, and one now and then for those that run.

    Args:
        names: what to call each host, by address.
        stream: where to write.
        clock: monotonic seconds.
        alone: whether the name says all of what is waited for, as :func:`waiting` wants it.
    """

    def __init__(
        self,
        names: Mapping[str, str],
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        alone: bool = False,
    ) -> None:
        self._stream, self._clock, self._alone = stream or sys.stderr, clock, alone
        now = clock()
        self._rows = {host: _Row(name, now, said=now) for host, name in names.items()}

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_exc: object) -> None:
        return None

    def begin(self) -> None:
        """Say what is waited for."""
        for row in self._rows.values():
            self._say(f"{row.name} …")

    def step(self, step: Step) -> None:
        """Take note of how far a host is, and say when a phase of its work begins."""
        row = self._rows.get(step.id)
        if row is None:
            return
        before, row.step = row.step, step
        phase = before.phase if isinstance(before, WorkStep) else ""
        if isinstance(step, WorkStep) and step.phase != phase:
            self._mention(step.id, row, running(step))

    def done(self, result: HostResult) -> None:
        """Say that a host has ended, and how."""
        row = self._rows.get(result.host)
        if row is not None:
            row.result = result
            self._say(f"{_label(result.host, row)}  {ending(result)}")

    def tick(self) -> None:
        """Mention the hosts that were not mentioned for a while."""
        now = self._clock()
        for host, row in self._rows.items():
            text = running(row.step) if row.step or not self._alone else ""
            patience = PLAIN_PATIENCE if text == row.text else PLAIN_INTERVAL
            if row.result is None and now - row.said >= patience:
                self._mention(host, row, text)

    def _mention(self, host: str, row: _Row, text: str) -> None:
        row.said, row.text = self._clock(), text
        if self._alone:
            self._say(_sentence(row, row.said))
        else:
            self._say(f"{_label(host, row)}  {text} ({lasted(row.said - row.begin)})")

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class Live:
    """Progress as a table that redraws itself. Parameters as for :class:`Lines`."""

    def __init__(
        self,
        names: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
        *,
        alone: bool = False,
    ) -> None:
        from rich.console import Console
        from rich.live import Live as RichLive

        self._clock, self._alone = clock, alone
        now = clock()
        self._rows = {host: _Row(name, now) for host, name in names.items()}
        self._live = RichLive(
            get_renderable=self._table,
            console=Console(stderr=True),
            refresh_per_second=4,
            # Who waited for one thing says itself how it ended.
            transient=alone,
        )

    def __enter__(self) -> Live:
        self._live.__enter__()
        return self

    def __exit__(self, *exc: Any) -> None:
        self._live.__exit__(*exc)

    def begin(self) -> None:
        """Nothing to do: the table is drawn."""

    def step(self, step: Step) -> None:
        """Take note of how far a host is."""
        if step.id in self._rows:
            self._rows[step.id].step = step

    def done(self, result: HostResult) -> None:
        """Take note of how a host has ended."""
        if result.host in self._rows:
            self._rows[result.host].result = result

    def tick(self) -> None:
        """Nothing to do: the table redraws itself."""

    def _table(self) -> Table:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for host, row in sorted(self._rows.items(), key=lambda entry: _calm(entry[1])):
            if self._alone:
                table.add_row(Text(_sentence(row, self._clock())))
                continue
            if row.result is not None:
                sign, style = SIGNS[row.result.status]
                bar: Any = Text(sign, style=style)
                text = Text(ending(row.result), style=style)
            else:
                step = row.step
                total = step.total if step is not None and step.total else None
                # Without a total yet the bar pulses: the minion is compiling its states.
                bar = ProgressBar(total=total, completed=step.done if step else 0, width=20)
                words = f"{running(step)} ({lasted(self._clock() - row.begin)})"
                text = Text(words, no_wrap=True, overflow="ellipsis")
            table.add_row(Text(host, style="bold"), Text(row.name), bar, text)
        return table


def _calm(row: _Row) -> bool:
    """Whether there is nothing to look at: those rows come last, where a small screen cuts off."""
    return row.result is not None and row.result.good


def display(names: Mapping[str, str]) -> Lines | Live:
    """Return the display that fits standard error."""
    return Live(names) if sys.stderr.isatty() else Lines(names)


def waiting(what: str, host: str = "") -> Lines | Live:
    """Return the display of one thing that is waited for, with how long it has been going on.

    Args:
        what: what goes on, as a person would say it.
        host: the minion that does it, whose steps are shown.
    """
    rows = {host or what: what}
    return Live(rows, alone=True) if sys.stderr.isatty() else Lines(rows, alone=True)


def wait(condition: Callable[[], bool], deadline: str, what: str) -> float:
    """Wait in sight until a condition is true: see :func:`pigsty.deadlines.wait_until`.

    What is true at once is not shown.
    """
    if condition():
        return 0.0
    with waiting(what) as screen:

        def looked() -> bool:
            screen.tick()
            return condition()

        return wait_until(looked, deadline, what)


def running(step: Step | None) -> str:
    """Return how far a host is, in words."""
    if step is None:
        return "waiting for the minion"
    if isinstance(step, WorkStep):
        percent = 100 * min(step.done, step.total) // step.total if step.total else 0
        share = f"{percent} % of {sized(step.total)}" if step.total else ""
        return ", ".join(words for words in (step.phase, share, step.detail) if words)
    if not step.total:
        return "reading its states"
    extra = "".join(
        f", {count} {word}"
        for count, word in ((step.changed, "changed"), (step.failed, "failed"))
        if count
    )
    return f"{step.done}/{step.total} states{extra}  {step.state}".rstrip()


def ending(result: HostResult) -> str:
    """Return the end of a host in one line, without the details of failures."""
    if result.error:
        return f"{result.status}: {headline(result.error)}"
    parts = [f"{result.ok} ok"]
    parts += [f"{result.changed} changed"] if result.changed else []
    parts += [f"{result.failed} failed"] if result.failed else []
    parts += [f"{result.skipped} not run"] if result.skipped else []
    took = f" in {result.seconds:.1f} s" if result.seconds else ""
    return f"{result.status}: {', '.join(parts)}{took}"


def headline(text: str) -> str:
    """Return the one line of an error that says most: of a traceback that is the last one."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1 if "Traceback (most recent call last)" in text else 0].strip()


def _sentence(row: _Row, now: float) -> str:
    """Return one thing that is waited for: what, how far it is, and how long it has taken."""
    so_far = f"({lasted(now - row.begin)})"
    return f"{row.name}: {running(row.step)} {so_far}" if row.step else f"{row.name} {so_far}"


def _label(host: str, row: _Row) -> str:
    return f"{host} {row.name}".rstrip()
