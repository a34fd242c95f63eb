"""Domains and types: registered, deprecated, described, listed, tagged.

Owns: the operations on them.

May not know: executions. Neighbours: `world`, which holds them; `pages`, which cuts lists.

Activity and workflow types differ in their names and defaults only: one set of functions serves both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from flowy.testing.swf.durations import check_text
from flowy.testing.swf.faults import Fault, invalid, unknown
from flowy.testing.swf.pages import cut
from flowy.testing.swf.world import Domain, Kind, Record, World, key_of

Request = Mapping[str, Any]
Operation = Callable[[World, Request], dict[str, Any]]

_ARN = "arn:aws:swf:us-east-1:123456789012:/domain/"
_LONGEST_RETENTION = 90


def register_domain(world: World, request: Request) -> dict[str, Any]:
    name, retention = request["name"], request["workflowExecutionRetentionPeriodInDays"]
    check_text({"name": name}, longest=world.limits.execution_time)
    days = int(retention) if retention.isascii() and retention.isdecimal() else math.inf
    if retention != "NONE" and days > _LONGEST_RETENTION:
        raise invalid(f"Retention period is NONE or a number of days from 0 to 90, not {retention!r}")
    if name in world.domains:
        raise Fault("DomainAlreadyExistsFault", name)
    if len(world.domains) >= world.limits.domains:
        raise Fault("LimitExceededFault", f"There are {world.limits.domains} domains already")
    tags = _merge_tags(world, {}, request.get("tags") or [])
    record = {"name": name, "deprecated": False, "retention": retention, "tags": tags}
    if request.get("description") is not None:
        record["description"] = request["description"]
    world.domains[name] = Domain(record)
    _keep_domain(world, world.domains[name])
    return {}


def deprecate_domain(world: World, request: Request) -> dict[str, Any]:
    domain = world.domain(request["name"])
    if domain.deprecated:
        raise Fault("DomainDeprecatedFault", domain.name)
    domain.record = {**domain.record, "deprecated": True}
    _keep_domain(world, domain)
    for family, kinds in domain.kinds.items():
        for kind in kinds.values():
            if not kind.deprecated:
                _keep_kind(world, domain, family, {**kind.record, "deprecationDate": world.time})
    return {}


def undeprecate_domain(world: World, request: Request) -> dict[str, Any]:
    domain = world.domain(request["name"])
    if not domain.deprecated:
        raise Fault("DomainAlreadyExistsFault", domain.name)
    domain.record = {**domain.record, "deprecated": False}
    _keep_domain(world, domain)
    return {}


def describe_domain(world: World, request: Request) -> dict[str, Any]:
    domain = world.domain(request["name"])
    period = {"workflowExecutionRetentionPeriodInDays": domain.record["retention"]}
    return {"domainInfo": _domain_info(domain), "configuration": period}


def list_domains(world: World, request: Request) -> dict[str, Any]:
    wanted = request["registrationStatus"] == "DEPRECATED"
    found = {name: domain for name, domain in world.domains.items() if domain.deprecated == wanted}
    return cut(world, "ListDomains", request, found, "domainInfos", _domain_info)


def _domain_info(domain: Domain) -> dict[str, Any]:
    info = {"name": domain.name, "status": _status(domain.deprecated), "arn": _ARN + domain.name}
    if "description" in domain.record:
        info["description"] = domain.record["description"]
    return info


def _keep_domain(world: World, domain: Domain) -> None:
    world.put("domains", domain.name, domain.record)


def _status(deprecated: bool) -> str:
    return "DEPRECATED" if deprecated else "REGISTERED"


def tag_resource(world: World, request: Request) -> dict[str, Any]:
    domain = _domain_of(world, request["resourceArn"])
    tags = _merge_tags(world, domain.record["tags"], request["tags"])
    domain.record = {**domain.record, "tags": tags}
    _keep_domain(world, domain)
    return {}


def untag_resource(world: World, request: Request) -> dict[str, Any]:
    domain = _domain_of(world, request["resourceArn"])
    gone = set(request["tagKeys"])
    tags = {key: value for key, value in domain.record["tags"].items() if key not in gone}
    domain.record = {**domain.record, "tags": tags}
    _keep_domain(world, domain)
    return {}


def list_tags(world: World, request: Request) -> dict[str, Any]:
    domain = _domain_of(world, request["resourceArn"])
    tags = domain.record["tags"].items()
    return {"tags": [{"key": key} | ({} if value is None else {"value": value}) for key, value in tags]}


def _domain_of(world: World, arn: str) -> Domain:
    name = arn.removeprefix(_ARN)
    if name == arn or name not in world.domains:
        raise unknown(f"Unknown resource: {arn}")
    return world.domains[name]


def _merge_tags(world: World, before: Mapping[str, Any], added: list[Any]) -> dict[str, Any]:
    tags = {**before, **{tag["key"]: tag.get("value") for tag in added}}
    if len(tags) > world.limits.resource_tags:
        raise Fault("TooManyTagsFault", f"A domain has at most {world.limits.resource_tags} tags")
    return tags


class Family:
    """The operations on the types of one family: "activity" or "workflow"."""

    def __init__(self, family: str, member: str) -> None:
        self.family = family
        self.member = member
        self.word = f"{member[0].upper()}{member[1:]}"

    def operations(self) -> dict[str, Operation]:
        """Each operation by its name in the API."""
        return {
            f"Register{self.word}": self.register,
            f"Deprecate{self.word}": self.deprecate,
            f"Undeprecate{self.word}": self.undeprecate,
            f"Delete{self.word}": self.delete,
            f"Describe{self.word}": self.describe,
            f"List{self.word}s": self.list,
        }

    def register(self, world: World, request: Request) -> dict[str, Any]:
        check_text(request, longest=world.limits.execution_time)
        domain = world.domain(request["domain"], active=True)
        name, version = request["name"], request["version"]
        if (name, version) in domain.kinds[self.family]:
            raise Fault("TypeAlreadyExistsFault", self._named(name, version))
        if len(domain.kinds[self.family]) >= world.limits.types:
            already = f"The domain has {world.limits.types} {self.family} types already"
            raise Fault("LimitExceededFault", already)
        given = {key: value for key, value in request.items() if value is not None}
        record = {
            "name": name,
            "version": version,
            "creationDate": world.time,
            "configuration": {key: given[key] for key in given if key.startswith("default")},
        }
        if "description" in given:
            record["description"] = given["description"]
        _keep_kind(world, domain, self.family, record)
        return {}

    def deprecate(self, world: World, request: Request) -> dict[str, Any]:
        domain, kind = self._find(world, request)
        if kind.deprecated:
            raise Fault("TypeDeprecatedFault", self._named(*kind.key))
        _keep_kind(world, domain, self.family, {**kind.record, "deprecationDate": world.time})
        return {}

    def undeprecate(self, world: World, request: Request) -> dict[str, Any]:
        domain, kind = self._find(world, request)
        if not kind.deprecated:
            raise Fault("TypeAlreadyExistsFault", self._named(*kind.key))
        record = {key: value for key, value in kind.record.items() if key != "deprecationDate"}
        _keep_kind(world, domain, self.family, record)
        return {}

    def delete(self, world: World, request: Request) -> dict[str, Any]:
        domain, kind = self._find(world, request)
        if not kind.deprecated:
            raise Fault("TypeNotDeprecatedFault", self._named(*kind.key))
        del domain.kinds[self.family][kind.key]
        world.drop(f"{self.family} types", key_of(domain.name, *kind.key))
        return {}

    def describe(self, world: World, request: Request) -> dict[str, Any]:
        _, kind = self._find(world, request)
        return {"typeInfo": self._info(kind), "configuration": kind.defaults}

    def list(self, world: World, request: Request) -> dict[str, Any]:
        domain = world.domain(request["domain"])
        wanted = request["registrationStatus"] == "DEPRECATED"
        name = request.get("name")
        found = {
            key: kind
            for key, kind in domain.kinds[self.family].items()
            if kind.deprecated == wanted and name in (None, key[0])
        }
        return cut(world, f"List{self.word}s", request, found, "typeInfos", self._info)

    def _find(self, world: World, request: Request) -> tuple[Domain, Kind]:
        domain = world.domain(request["domain"])
        name, version = request[self.member]["name"], request[self.member]["version"]
        kind = domain.kinds[self.family].get((name, version))
        if kind is None:
            raise unknown(f"Unknown type: {self._named(name, version)}")
        return domain, kind

    def _named(self, name: str, version: str) -> str:
        return f"{self.word}=[name={name}, version={version}]"

    def _info(self, kind: Kind) -> dict[str, Any]:
        name, version = kind.key
        info = {
            self.member: {"name": name, "version": version},
            "status": _status(kind.deprecated),
            "creationDate": kind.record["creationDate"],
        }
        for member in ("description", "deprecationDate"):
            if member in kind.record:
                info[member] = kind.record[member]
        return info


def _keep_kind(world: World, domain: Domain, family: str, record: Record) -> None:
    kind = Kind(record)
    domain.kinds[family][kind.key] = kind
    world.put(f"{family} types", key_of(domain.name, *kind.key), record)


WORKFLOWS = Family("workflow", "workflowType")

REGISTRY: Mapping[str, Operation] = {
    "RegisterDomain": register_domain,
    "DeprecateDomain": deprecate_domain,
    "UndeprecateDomain": undeprecate_domain,
    "DescribeDomain": describe_domain,
    "ListDomains": list_domains,
    "TagResource": tag_resource,
    "UntagResource": untag_resource,
    "ListTagsForResource": list_tags,
    **Family("activity", "activityType").operations(),
    **WORKFLOWS.operations(),
}
