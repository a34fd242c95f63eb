"""A snapshot as text: a table for people, one line for logs, HTML for notebooks.

Owns: `table`, `line`, `html`. Nothing in them can move a cursor or end a tag, whatever things are
called.

May not know: where it is shown. Neighbours: `counts`, and `terminal` and `others`, which show it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from html import escape

from flowy.local.memory import show_bytes
from flowy.progress.counts import Row, Snapshot

BAR = 12
"""Characters of a bar."""
LONGEST_NAME = 32
HEAD = ("", "done", "running", "waiting", "failed", "rate", "left")
FIRST_TO_GO = (5, 3, 2, 4, 6)
"""Of these, where a terminal is narrow: what the eye misses least."""
_STYLE = "padding:0 .8em 0 0;text-align:right"


def printable(text: str) -> str:
    """A name as it may stand on a terminal: in one line, nothing that is a command, not too long.

    >>> printable('a' + chr(27) + '[2J'), len(printable('x' * 99))
    ('a\\ufffd[2J', 32)
    """
    text = "".join(c if c.isprintable() else "\ufffd" for c in text[: LONGEST_NAME + 1])
    return text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…"


def show_time(seconds: float | None) -> str:
    """
    >>> [show_time(x) for x in (None, 0.4, 75, 3700, 200000)]
    ['?', '0:00', '1:15', '1:01:40', '2 d 7 h']
    """
    if seconds is None:
        return "?"
    whole = int(seconds)
    if whole >= 86400:
        return f"{whole // 86400} d {whole % 86400 // 3600} h"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def show_rate(rate: float) -> str:
    """
    >>> [show_rate(x) for x in (0.0, 0.123, 12.3, 123456.7)]
    ['', '0.12/s', '12/s', '123,457/s']
    """
    if rate <= 0:
        return ""
    return f"{rate:.2g}/s" if rate < 10 else f"{rate:,.0f}/s"


def cells(row: Row) -> tuple[str, ...]:
    """What stands in a row below `HEAD`."""
    return (
        printable(row.name),
        f"{row.done:,}/{row.asked:,}",
        f"{row.running:,}" if row.running else "",
        f"{row.waiting:,}" if row.waiting else "",
        f"{row.failed:,}" if row.failed else "",
        show_rate(row.rate),
        show_time(row.seconds_left) if row.left else "",
    )


def part_done(row: Row) -> float:
    """From 0 to 1; failed ones are over too."""
    return (row.done + row.failed) / row.asked if row.asked else 0.0


def bar(part: float, size: int = BAR) -> str:
    """
    >>> bar(0.5), bar(0.0, 4)
    ('━━━━━━······', '····')
    """
    full = int(part * size)
    return "━" * full + "·" * (size - full)


def foot(snapshot: Snapshot) -> str:
    """How long it has taken, and what the workers use."""
    parts = [show_time(snapshot.seconds)]
    parts.append(f"{snapshot.workers:,} worker{'' if snapshot.workers == 1 else 's'}")
    if snapshot.cpu is not None:
        parts.append(f"{snapshot.cpu:.0%} CPU".replace("%", " %"))
    if snapshot.memory is not None:
        parts.append(show_bytes(snapshot.memory))
    return " · ".join(parts)


def breadth(text: str) -> int:
    """How many columns of a terminal a text takes.

    >>> breadth('abc'), breadth('\u65e5\u672c'), breadth('e\u0301')
    (3, 4, 1)
    """
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)


def plain(what: str, text: str) -> str:
    """A cell as it is; other painters put it in the colour of its column."""
    return text


def table(
    snapshot: Snapshot,
    width: int = 200,
    paint: Callable[[str, str], str] = plain,
    draw_bar: Callable[[float, int], str] = bar,
) -> list[str]:
    """Lines of text: a head, one for each dependency, and a foot. What is too much for a terminal of so
    many columns is left out, the bars first."""
    rows = [cells(row) for row in snapshot.rows]
    long = BAR * 2 if width >= 90 else BAR
    sizes = [max(map(breadth, column)) for column in zip(HEAD, *rows, strict=True)]
    shown, room = list(range(len(HEAD))), sum(sizes) + 2 * len(HEAD) - 2 + 2 + long
    has_bar = room <= width
    room -= 0 if has_bar else long + 2
    for least in FIRST_TO_GO:
        if room > width:
            shown.remove(least)
            room -= sizes[least] + 2
    name = max(1, sizes[0] + min(0, width - room))
    lines = []
    for i, row in enumerate([HEAD, *rows]):
        parts = [_fit(row[0], name)]
        if has_bar:
            parts.append(draw_bar(part_done(snapshot.rows[i - 1]), long) if i else " " * long)
        for k in shown[1:]:
            cell = " " * (sizes[k] - breadth(row[k])) + row[k]
            parts.append(paint(HEAD[k] if i else "head", cell))
        lines.append("  ".join(parts).rstrip())
    return [*lines, paint("foot", _fit(foot(snapshot), width).rstrip())]


def _fit(text: str, size: int) -> str:
    """A text with blanks behind it, or cut, so that it takes so many columns."""
    if breadth(text) > size:
        while text and breadth(text) > size - 1:
            text = text[:-1]
        text += "…"
    return text + " " * (size - breadth(text))


def line(snapshot: Snapshot) -> str:
    """All of it in one line, for a log."""
    parts = []
    for row in snapshot.rows:
        if not row.asked:
            continue
        text = f"{printable(row.name)} {row.done:,} of {row.asked:,} done"
        if row.failed:
            text += f", {row.failed:,} failed"
        if row.running:
            text += f", {row.running:,} running"
        if row.left and row.seconds_left is not None:
            text += f", {show_rate(row.rate)}, {show_time(row.seconds_left)} left"
        parts.append(text)
    return f"{foot(snapshot)}: {'; '.join(parts) or 'nothing asked for yet'}"


def html(snapshot: Snapshot) -> str:
    """A small table, for notebooks."""
    head = "".join(f"<th style='{_STYLE}'>{escape(word)}</th>" for word in HEAD)
    body = []
    for row in snapshot.rows:
        name, *rest = cells(row)
        meter = f"<progress value='{part_done(row):.4f}' max='1'></progress>"
        first = f"<td style='text-align:left'>{escape(name)}&nbsp;{meter}</td>"
        body.append(f"<tr>{first}{''.join(f'<td style={_STYLE!r}>{escape(x)}</td>' for x in rest)}</tr>")
    return (
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
        f"<div>{escape(foot(snapshot))}</div>"
    )
