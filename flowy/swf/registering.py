"""Types at Amazon SWF, and configurations found in packages.

Owns: `register_type`, which registers a type or makes sure that what is registered is the same, and
`scan`.

May not know: workers. Its neighbour is `client`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from flowy.errors import UsageError

__all__ = ["register_type", "scan"]


def register_type(
    client: Any, domain: str, kind: str, key: tuple[str, str], defaults: Mapping[str, Any]
) -> bool:
    """Register a type of `kind` 'activity' or 'workflow', if it is not; whether it was not.

    Raises:
        UsageError: it is registered with other defaults, or deprecated.
        Refused: SWF refuses, as it does where there is no such domain.
    """
    from flowy.swf.client import Refused

    try:
        client.register_type(kind, domain, *key, defaults)
    except Refused as error:
        if error.kind != "TypeAlreadyExistsFault":
            raise
    else:
        return True
    found = getattr(client, f"describe_{kind}_type")(domain, *key)
    what = f"the {kind} type {key[0]} {key[1]}"
    if (found.get("typeInfo") or {}).get("status") == "DEPRECATED":
        raise UsageError(f"{what} is deprecated in the domain {domain}: use another version")
    there = found.get("configuration") or {}
    # A priority of 0 is what SWF says of none.
    other = [
        f"{name} is {there.get(name)!r} there and {defaults.get(name)!r} here"
        for name in sorted(set(there) | set(defaults))
        if there.get(name) != defaults.get(name)
        and not (name == "defaultTaskPriority" and there.get(name) == "0" and name not in defaults)
    ]
    if other:
        raise UsageError(
            f"{what} is registered in the domain {domain} with other defaults, which can't be changed: "
            f"{'; '.join(other)}. Give it another version"
        )
    return False


def scan(
    register: Callable[..., None],
    categories: tuple[str, ...],
    package: Any,
    ignore: Any,
    level: int,
) -> None:
    """Register all that is bound to a configuration in a package, found through venusian.

    Args:
        package: where to look; by default that of who called the caller, `level` more up.

    Raises:
        ImportError: venusian is not installed.
    """
    try:
        import venusian
    except ImportError:
        raise ImportError("scan() works through venusian: pip install 'flowy[swf]'") from None
    if package is None:
        module = sys.modules[sys._getframe(2 + level).f_globals["__name__"]]
        package = sys.modules.get(module.__package__ or "", module)
    venusian.Scanner(register=register).scan(package, categories=categories, ignore=ignore)
