"""Named tuples whose classes are made quickly.

Owns: `Record`. For a type checker it is `typing.NamedTuple`. That one compiles each annotation and runs
generated source for each class: for the thirty classes that `import flowy` makes, a tenth of its time.
What is imported later, when it is asked for, may as well use `NamedTuple`.

May not know any of the classes made with it.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar

__all__ = ["Record"]

if TYPE_CHECKING:
    from typing import NamedTuple as Record
else:

    class _Making(type):
        """Turns annotated names into fields: `name: type`, or `name: type = default`."""

        def __new__(making, name: str, bases: tuple[type, ...], names: dict[str, Any]) -> type:
            if [base.__bases__ for base in bases] != [(tuple,)]:  # `Record` itself, or below a record
                return super().__new__(making, name, bases, names)
            fields = tuple(names.get("__annotations__", ()))
            defaults = {field: names[field] for field in fields if field in names}
            if tuple(defaults) != fields[len(fields) - len(defaults) :]:
                raise TypeError(f"{name}: a field without a default follows one that has one")
            for place, field in enumerate(fields):
                names[field] = property(itemgetter(place))
            names.update(__slots__=(), __match_args__=fields, _fields=fields)
            names.update(_field_defaults=defaults, _defaults=tuple(defaults.values()))
            return super().__new__(making, name, bases, names)

    class Record(tuple, metaclass=_Making):
        """The base of a named tuple: fields by name, by place, and in patterns; equal as tuples are."""

        __slots__ = ()
        _fields: ClassVar[tuple[str, ...]] = ()
        _field_defaults: ClassVar[dict[str, Any]] = {}
        _defaults: ClassVar[tuple[Any, ...]] = ()

        def __new__(cls, *values: Any, **named: Any) -> Any:
            missing = len(cls._fields) - len(values)
            if named:
                values = cls._all(values, named)
            elif missing:
                defaults = cls._defaults
                if not 0 < missing <= len(defaults):
                    raise cls._misfit(values, named)
                values += defaults[len(defaults) - missing :]
            return tuple.__new__(cls, values)

        @classmethod
        def _all(cls, values: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
            rest = cls._fields[len(values) :]
            given = cls._field_defaults | named
            if any(name not in rest for name in named) or any(field not in given for field in rest):
                raise cls._misfit(values, named)
            return (*values, *[given[field] for field in rest])

        @classmethod
        def _misfit(cls, values: tuple[Any, ...], named: dict[str, Any]) -> TypeError:
            shown = ", ".join(
                f"{field}={cls._field_defaults[field]!r}" if field in cls._field_defaults else field
                for field in cls._fields
            )
            got = ", ".join([f"{len(values)} values", *named])
            return TypeError(f"{cls.__name__}({shown}) does not fit what was given: {got}")

        @classmethod
        def _make(cls, values: Any) -> Any:
            """From the values of all fields, in order."""
            return cls(*values)

        def _replace(self, **named: Any) -> Any:
            """The same with other values of these fields."""
            given = {**self._asdict(), **named}
            if len(given) != len(self):
                raise self._misfit(tuple(self), named)
            return tuple.__new__(type(self), given.values())

        def _asdict(self) -> dict[str, Any]:
            """The values by field."""
            return dict(zip(self._fields, self, strict=True))

        def __getnewargs__(self) -> tuple[Any, ...]:
            return tuple(self)

        def __repr__(self) -> str:
            fields = ", ".join(f"{field}={value!r}" for field, value in self._asdict().items())
            return f"{type(self).__name__}({fields})"
