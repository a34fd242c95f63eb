"""What Amazon SWF takes: names, versions, seconds, priorities and the like, checked before it is asked.

Owns: the functions that make what SWF takes of what a user gave, or raise `UsageError` saying why not.

May not know: what they are for. Its neighbours are `config` and `starter`, which take the arguments.
"""

from __future__ import annotations

import keyword
import math
from collections.abc import Mapping
from typing import Any

from flowy.errors import UsageError

__all__ = [
    "TypeKey",
    "as_child_policy",
    "as_duration",
    "as_priority",
    "as_tags",
    "as_task_list",
    "check_dependency",
    "type_key",
]

CHILD_POLICIES = ("TERMINATE", "REQUEST_CANCEL", "ABANDON")
_LONGEST_NAME = 150

TypeKey = tuple[str, str]
"""(name, version) of an activity or workflow."""


def check_dependency(name: Any, taken: Mapping[str, Any]) -> None:
    """Raises `UsageError` if `name` can't be the name of one more dependency."""
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(
            f"{name!r} can't name a dependency: it is a parameter of the workflow's constructor, so it "
            "must be an identifier and no keyword"
        )
    if len(name) > _LONGEST_NAME:
        raise UsageError(
            f"{name!r} is too long: ids of tasks are made of it, and SWF takes 256 characters of an id; "
            f"keep it to {_LONGEST_NAME}"
        )
    if name in taken:
        raise UsageError(f"the dependency {name!r} is configured twice")


def type_key(version: Any, name: str | None = None) -> TypeKey:
    """(name, version) as SWF knows them; the name '' is that of what it will be bound to.

    Raises:
        UsageError: SWF would not take them.
    """
    text = str(version)
    if version is None or not 0 < len(text) <= 64:
        raise UsageError(f"a version has 1 to 64 characters, and {version!r} has not")
    given: object = name
    if name is not None and not (isinstance(given, str) and 0 < len(given) <= 256):
        raise UsageError(f"the name of a type has 1 to 256 characters, and {name!r} has not")
    for part in (name or "", text):
        if any(c in ":/|" or ord(c) < 32 or 127 <= ord(c) < 160 for c in part) or part == "arn":
            raise UsageError(
                f"{part!r} can't name a type or version: SWF allows no ':', '/', '|' or 'arn'"
            )
    return name or "", text


def as_task_list(name: Any) -> dict[str, str] | None:
    """A task list as SWF takes it. Raises `UsageError`."""
    if name is None:
        return None
    if not isinstance(name, str) or not 0 < len(name) <= 256:
        raise UsageError(f"a task list is a name of 1 to 256 characters, not {name!r}")
    return {"name": name}


def as_duration(what: str, seconds: Any) -> str | None:
    """Seconds as SWF takes them. Raises `UsageError`."""
    if seconds is None:
        return None
    if isinstance(seconds, str):
        if seconds.upper() == "NONE":
            return "NONE"
        try:
            seconds = float(seconds)
        except ValueError:
            pass
    good = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not good or not 0 <= seconds < 10**8:
        raise UsageError(f"{what} is a number of seconds, at most 8 digits, or 'NONE', not {seconds!r}")
    return str(math.ceil(seconds))


def as_priority(priority: Any) -> str | None:
    """A priority as SWF takes it. Raises `UsageError`."""
    if priority is None:
        return None
    try:
        number = int(priority)
        if isinstance(priority, float) or not -(2**31) <= number < 2**31:
            raise ValueError
    except (TypeError, ValueError):
        raise UsageError(f"a priority is a whole number of 32 bits, not {priority!r}") from None
    return str(number)


def as_child_policy(policy: Any) -> str | None:
    """A child policy, checked. Raises `UsageError`."""
    if policy is not None and policy not in CHILD_POLICIES:
        raise UsageError(f"a child policy is one of {', '.join(CHILD_POLICIES)}, not {policy!r}")
    return policy  # type: ignore[no-any-return]


def as_tags(tags: Any) -> list[str] | None:
    """Tags as SWF takes them. Raises `UsageError`."""
    if tags is None:
        return None
    made = [tags] if isinstance(tags, str) else list(tags)
    if len(made) > 5 or not all(isinstance(tag, str) and 0 < len(tag) <= 256 for tag in made):
        raise UsageError(f"tags are up to five strings of 1 to 256 characters, not {tags!r}")
    return made
