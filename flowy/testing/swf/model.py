"""Whether a request is well formed, by the model of SWF that botocore ships.

Owns: reading that model, and the checks made of it: types, members, lengths, ranges, enumerations.

May not know: state, or what a request means. Its neighbour is `service`, which asks before all else.

Each shape of the model is turned into a function once; a check then costs a call for each value.
The words are those of SWF's own framework, so that code which reads them reads the same here. A
request that can't be read is a SerializationException, one that breaks a rule a ValidationException.
Members that the model does not have are refused too, as boto3 refuses them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from flowy.errors import UsageError
from flowy.testing.swf.faults import Fault, invalid

Problems = list[str]
Check = Callable[[Any, str, Problems], None]
"""Takes a value, where it stands, and the list to which a broken rule is added."""

_TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "string": (str, "String"),
    "integer": (int, "Integer"),
    "long": (int, "Long"),
    "boolean": (bool, "Boolean"),
    "timestamp": ((int, float), "Timestamp"),
}


class Model:
    """The operations of SWF and the shapes of their requests."""

    def __init__(self, description: Mapping[str, Any]) -> None:
        """`description` is a service model of botocore."""
        self._shapes: Mapping[str, Any] = description["shapes"]
        self._checks: dict[str, Check] = {}
        self.target_prefix: str = description["metadata"]["targetPrefix"]
        self.operations: frozenset[str] = frozenset(description["operations"])
        self._requests = {
            name: self._check(operation["input"]["shape"])
            for name, operation in description["operations"].items()
        }

    def validate(self, operation: str, request: Any) -> None:
        """Refuse a request that is not well formed.

        Raises:
            Fault: UnknownOperationException, SerializationException or ValidationException.
        """
        check = self._requests.get(operation)
        if check is None:
            raise Fault("UnknownOperationException", f"SWF has no operation {operation!r}")
        problems: Problems = []
        check(request, "", problems)
        if problems:
            raise invalid_values(problems)

    def _check(self, name: str) -> Check:
        """The check of the shape of this name."""
        if name not in self._checks:
            shape = self._shapes[name]
            makers = {"structure": self._structure, "list": self._list}
            self._checks[name] = makers.get(shape["type"], _scalar)(shape)
        return self._checks[name]

    def _structure(self, shape: Mapping[str, Any]) -> Check:
        members = {name: self._check(member["shape"]) for name, member in shape["members"].items()}
        required = tuple(shape.get("required", ()))

        def check(value: Any, where: str, problems: Problems) -> None:
            if not isinstance(value, Mapping):
                raise unreadable(where, "a structure", value)
            inside = f"{where}." if where else ""
            for name in required:
                if value.get(name) is None:
                    problems.append(null_at(inside + name))
            for name, given in value.items():
                if name not in members:
                    raise Fault(
                        "SerializationException", f"{where or 'The request'} has no member {name!r}"
                    )
                if given is not None:
                    members[name](given, inside + name, problems)

        return check

    def _list(self, shape: Mapping[str, Any]) -> Check:
        member = self._check(shape["member"]["shape"])
        most = shape.get("max")

        def check(value: Any, where: str, problems: Problems) -> None:
            if not isinstance(value, (list, tuple)):
                raise unreadable(where, "a list", value)
            if most is not None and len(value) > most:
                problems.append(broken(value, where, f"have length less than or equal to {most}"))
            for number, given in enumerate(value, 1):
                if given is None:
                    problems.append(null_at(f"{where}.{number}.member"))
                else:
                    member(given, f"{where}.{number}.member", problems)

        return check


def _scalar(shape: Mapping[str, Any]) -> Check:
    wanted, word = _TYPES[shape["type"]]
    number = shape["type"] != "boolean"
    size = _length if shape["type"] == "string" else _value
    least, most = shape.get("min"), shape.get("max")
    enum = shape.get("enum")

    def check(value: Any, where: str, problems: Problems) -> None:
        if not isinstance(value, wanted) or (number and isinstance(value, bool)):
            raise unreadable(where, word, value)
        if enum is not None and value not in enum:
            problems.append(broken(value, where, f"satisfy enum value set: [{', '.join(enum)}]"))
        if least is not None and size(value) < least:
            problems.append(broken(value, where, f"{size.__doc__} greater than or equal to {least}"))
        if most is not None and size(value) > most:
            problems.append(broken(value, where, f"{size.__doc__} less than or equal to {most}"))

    return check


def _length(value: Any) -> Any:
    """have length"""
    return len(value)


def _value(value: Any) -> Any:
    """have value"""
    return value


def broken(value: Any, where: str, rule: str) -> str:
    """A broken rule, in SWF's words."""
    shown = str(value)
    shown = shown if len(shown) <= 200 else f"{shown[:200]}…"
    return f"Value '{shown}' at '{where}' failed to satisfy constraint: Member must {rule}"


def null_at(where: str) -> str:
    """What is missing, in SWF's words."""
    return f"Value null at '{where}' failed to satisfy constraint: Member must not be null"


def invalid_values(problems: Problems) -> Fault:
    """The fault that tells these problems."""
    noun = "error" if len(problems) == 1 else "errors"
    return invalid(f"{len(problems)} validation {noun} detected: {'; '.join(problems)}")


def unreadable(where: str, wanted: str, value: Any) -> Fault:
    """The fault of a value of another type."""
    return Fault(
        "SerializationException",
        f"{where or 'The request'} can't be read as {wanted}: it is of the type {type(value).__name__}",
    )


@functools.cache
def load_model() -> Model:
    """The model of the botocore that is installed.

    Raises:
        UsageError: there is none.
    """
    try:
        from botocore.loaders import Loader  # here, because `import flowy.testing` should do without
    except ImportError:
        raise UsageError("the local SWF needs botocore: pip install 'flowy[swf]'") from None

    return Model(Loader().load_service_model("swf", "service-2"))
