"""Texts that are longer than Amazon SWF takes: what travels in their place.

Owns: the limit, the reference that stands for a long text, and `Payloads`, which is what a store must
be able to do. A text is kept under the hash of itself, so the same text has the same reference each
time: a replay needs to write nothing to know what it would send.

May not know: where payloads are kept (`stores`), or what the texts mean.
"""

from __future__ import annotations

import hashlib
import json
from typing import Protocol

from flowy.errors import UsageError

__all__ = ["MARK", "MOST", "NoStore", "Payloads", "key_of", "pack", "reference", "unpack"]

MOST = 32_768
"""Characters of an input, a result, details, or a control [AWS]."""
MARK = '{" p": ["'
"""How what stands for a long text begins."""


class NoStore(UsageError, OSError):
    """A text is kept in a store, and none is configured here: a fault of this process, not of a task."""


class Payloads(Protocol):
    """Keeps long texts. What fails by chance should raise `OSError`: it is tried again."""

    def put(self, key: str, text: str) -> None:
        """Keep `text` under `key`; it may be there already, and is the same then."""

    def get(self, key: str) -> str:
        """The text under `key`; raises `KeyError` if there is none."""


def reference(text: str) -> str:
    """What travels for a long text."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f'{MARK}{digest}", {len(text)}]}}'


def key_of(text: str) -> str | None:
    """The key under which the text is kept that this stands for; None: it is a text itself."""
    if not text.startswith(MARK):
        return None
    try:
        key, size = json.loads(text)[" p"]
    except (ValueError, TypeError, KeyError):
        return None
    return key if isinstance(key, str) and isinstance(size, int) else None


def pack(text: str, what: str, store: Payloads | None) -> str:
    """What travels for `text`: itself, or a reference to what the store keeps from now on.

    Raises:
        UsageError: it is too long and there is no store; `what` says what it is.
    """
    if len(text) <= MOST:
        return text
    if store is None:
        raise UsageError(too_long(what, len(text)))
    made = reference(text)
    store.put(key_of(made) or "", text)
    return made


def too_long(what: str, size: int) -> str:
    """The message about a text that does not fit and has nowhere to go."""
    return (
        f"{what} has {size:,} characters as JSON, and Amazon SWF takes {MOST:,}: give payloads=… (a "
        "folder that all workers see, or flowy.swf.S3Payloads(bucket)), or pass a reference to it"
    )


def unpack(text: str, store: Payloads | None) -> str:
    """The text that travelled as `text`.

    Raises:
        NoStore: it is elsewhere, and there is no store.
        KeyError: the store does not have it.
    """
    key = key_of(text)
    if key is None:
        return text
    if store is None:
        raise NoStore(
            f"the text is kept in a payload store under {key}: give payloads=… as who sent it does"
        )
    return store.get(key)
