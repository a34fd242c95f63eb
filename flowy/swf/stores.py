"""A payload store in a folder.

Owns: `FolderPayloads`, for a folder that all workers see.

May not know: what the texts are. Its neighbour is `payloads`, which says what a store must do.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

__all__ = ["FolderPayloads"]


class FolderPayloads:
    """Keeps each text as a file, readable by its owner only; nothing is ever removed by itself."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def put(self, key: str, text: str) -> None:
        """Keep `text` under `key`. Raises `OSError`."""
        place = self._place(key)
        if place.exists():
            return
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=place.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", errors="surrogatepass", newline="") as file:
                file.write(text)
            os.replace(name, place)  # whole or not at all, whoever else writes it meanwhile
        except BaseException:
            os.unlink(name)
            raise

    def get(self, key: str) -> str:
        """The text under `key`. Raises `KeyError` if there is none, and `OSError`."""
        try:
            with open(self._place(key), encoding="utf-8", errors="surrogatepass", newline="") as file:
                return file.read()
        except FileNotFoundError:
            if not self.folder.is_dir():
                raise  # not mounted here, perhaps: nothing is said of the text
            raise KeyError(f"{self.folder} has no payload {key}") from None

    def __repr__(self) -> str:
        return f"FolderPayloads({str(self.folder)!r})"

    def _place(self, key: str) -> Path:
        if not re.fullmatch(r"[0-9a-f]{64}", key):  # it came from outside: it must not name another file
            raise KeyError(f"{key!r} is no key of a payload")
        return self.folder / key[:2] / key
