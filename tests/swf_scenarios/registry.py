"""Scenarios of domains, types and tags."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flowy.testing.swf import Limits
from swf_scenarios.bench import FLOW, WORK, Bench, scenario


def _names(bench: Bench, operation: str, member: str, inner: str, **request: Any) -> list[Any]:
    """Everything that an operation lists, page by page."""
    found: list[Any] = []
    while True:
        page = bench.call(operation, **request)
        assert len(page[member]) <= request.get("maximumPageSize", 1000)
        found += [each[inner] for each in page[member]]
        if "nextPageToken" not in page:
            return found
        request["nextPageToken"] = page["nextPageToken"]


@scenario()
def domains(bench: Bench) -> None:
    names = [f"{bench.domain}-{letter}" for letter in "cab"]
    for name in names:
        bench.call(
            "RegisterDomain",
            name=name,
            description=f"of {name}",
            workflowExecutionRetentionPeriodInDays="7",
        )
    with bench.refused("DomainAlreadyExistsFault", names[0]):
        bench.call("RegisterDomain", name=names[0], workflowExecutionRetentionPeriodInDays="7")
    described = bench.call("DescribeDomain", name=names[0])
    assert described["configuration"] == {"workflowExecutionRetentionPeriodInDays": "7"}
    assert described["domainInfo"]["description"] == f"of {names[0]}"
    assert described["domainInfo"]["status"] == "REGISTERED"
    for reverse in (False, True):
        listed = _names(
            bench, "ListDomains", "domainInfos", "name",
            registrationStatus="REGISTERED", maximumPageSize=2, reverseOrder=reverse,
        )  # fmt: skip
        ours = [name for name in listed if name in names]
        assert ours == sorted(names, reverse=reverse)
    bench.call("DeprecateDomain", name=names[0])
    with bench.refused("DomainDeprecatedFault"):
        bench.call("DeprecateDomain", name=names[0])
    listed = _names(bench, "ListDomains", "domainInfos", "name", registrationStatus="DEPRECATED")
    assert names[0] in listed
    assert names[1] not in listed
    bench.call("UndeprecateDomain", name=names[0])
    with bench.refused("DomainAlreadyExistsFault"):
        bench.call("UndeprecateDomain", name=names[0])
    assert bench.call("DescribeDomain", name=names[0])["domainInfo"]["status"] == "REGISTERED"


@scenario()
def deprecated_domain(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    bench.call("DeprecateDomain", name=bench.domain)
    assert bench.here("DescribeWorkflowType", workflowType=FLOW)["typeInfo"]["status"] == "DEPRECATED"
    assert bench.here("DescribeActivityType", activityType=WORK)["typeInfo"]["status"] == "DEPRECATED"
    with bench.refused("UnknownResourceFault"):
        bench.start("two")
    with bench.refused("UnknownResourceFault"):
        bench.here("RegisterActivityType", name="new", version="1")
    bench.decide({"decisionType": "CompleteWorkflowExecution"})  # what runs goes on
    assert bench.status("one", run_id) == "COMPLETED"


@scenario()
def bad_domains(bench: Bench) -> None:
    for period in ("x", "91", "-1", "1.0", "\u0663"):
        with bench.refused("ValidationException"):
            bench.call(
                "RegisterDomain", name=bench.domain, workflowExecutionRetentionPeriodInDays=period
            )
    for name in ("a:b", "a/b", "a|b", "a\nb", "a\u0085b", " a", "a ", "arn", "x" * 257):
        with bench.refused("ValidationException", "at 'name'"):
            bench.call("RegisterDomain", name=name, workflowExecutionRetentionPeriodInDays="1")


@scenario()
def tags(bench: Bench) -> None:
    bench.call(
        "RegisterDomain",
        name=bench.domain,
        workflowExecutionRetentionPeriodInDays="1",
        tags=[{"key": "team", "value": "a"}],
    )
    arn = bench.call("DescribeDomain", name=bench.domain)["domainInfo"]["arn"]
    bench.call("TagResource", resourceArn=arn, tags=[{"key": "cost", "value": "b"}, {"key": "empty"}])
    bench.call("TagResource", resourceArn=arn, tags=[{"key": "team", "value": "c"}])
    found = bench.call("ListTagsForResource", resourceArn=arn)["tags"]
    assert {tag["key"]: tag.get("value") for tag in found} == {"team": "c", "cost": "b", "empty": None}
    bench.call("UntagResource", resourceArn=arn, tagKeys=["team", "empty", "never"])
    assert bench.call("ListTagsForResource", resourceArn=arn)["tags"] == [{"key": "cost", "value": "b"}]
    many = [{"key": f"k{number}", "value": "v"} for number in range(51)]
    with bench.refused("TooManyTagsFault"):
        bench.call("TagResource", resourceArn=arn, tags=many)
    with bench.refused("TooManyTagsFault"):
        bench.call(
            "RegisterDomain",
            name=f"{bench.domain}-2",
            workflowExecutionRetentionPeriodInDays="1",
            tags=many,
        )
    for operation, more in (
        ("TagResource", {"tags": many[:1]}), ("UntagResource", {"tagKeys": ["a"]}),
        ("ListTagsForResource", {}),
    ):  # fmt: skip
        with bench.refused("UnknownResourceFault"):
            bench.call(operation, resourceArn=f"{arn}-not", **more)


def _types(bench: Bench, word: str, member: str, defaults: dict[str, Any]) -> None:
    bench.call("RegisterDomain", name=bench.domain, workflowExecutionRetentionPeriodInDays="1")
    kinds = [("b", "1"), ("a", "2"), ("a", "1"), ("c", "1")]
    for name, version in kinds:
        bench.here(f"Register{word}", name=name, version=version, description="d", **defaults)
    with bench.refused("TypeAlreadyExistsFault", f"{word}=[name=b, version=1]"):
        bench.here(f"Register{word}", name="b", version="1")
    kind: dict[str, Any] = {member: {"name": "b", "version": "1"}}
    described = bench.here(f"Describe{word}", **kind)
    assert described["configuration"] == defaults
    assert described["typeInfo"]["description"] == "d"
    assert described["typeInfo"][member] == kind[member]

    def listed(status: str = "REGISTERED", **more: Any) -> list[tuple[str, str]]:
        found = _names(
            bench, f"List{word}s", "typeInfos", member,
            domain=bench.domain, registrationStatus=status, **more,
        )  # fmt: skip
        return [(each["name"], each["version"]) for each in found]

    assert listed(maximumPageSize=3) == sorted(kinds)
    assert listed(maximumPageSize=1, reverseOrder=True) == sorted(kinds, reverse=True)
    assert listed(name="a") == [("a", "1"), ("a", "2")]
    with bench.refused("TypeNotDeprecatedFault"):
        bench.here(f"Delete{word}", **kind)
    with bench.refused("TypeAlreadyExistsFault"):
        bench.here(f"Undeprecate{word}", **kind)
    bench.here(f"Deprecate{word}", **kind)
    with bench.refused("TypeDeprecatedFault"):
        bench.here(f"Deprecate{word}", **kind)
    assert listed("DEPRECATED") == [("b", "1")]
    assert ("b", "1") not in listed()
    assert "deprecationDate" in bench.here(f"Describe{word}", **kind)["typeInfo"]
    bench.here(f"Undeprecate{word}", **kind)
    assert listed("DEPRECATED") == []
    bench.here(f"Deprecate{word}", **kind)
    bench.here(f"Delete{word}", **kind)
    for operation in ("Describe", "Delete", "Deprecate", "Undeprecate"):
        with bench.refused("UnknownResourceFault", f"{word}=[name=b, version=1]"):
            bench.here(f"{operation}{word}", **kind)


@scenario()
def activity_types(bench: Bench) -> None:
    defaults = {
        "defaultTaskList": {"name": "x"},
        "defaultTaskPriority": "-7",
        "defaultTaskHeartbeatTimeout": "NONE",
        "defaultTaskStartToCloseTimeout": "5",
    }
    _types(bench, "ActivityType", "activityType", defaults)


@scenario()
def workflow_types(bench: Bench) -> None:
    defaults = {
        "defaultTaskList": {"name": "x"},
        "defaultTaskPriority": "3",
        "defaultChildPolicy": "ABANDON",
        "defaultExecutionStartToCloseTimeout": "77",
        "defaultLambdaRole": "arn:aws:iam::123456789012:role/r",
    }
    _types(bench, "WorkflowType", "workflowType", defaults)


@scenario()
def bad_types(bench: Bench) -> None:
    bench.set_up()
    for wrong in (
        {"defaultTaskStartToCloseTimeout": "soon"},
        {"defaultTaskStartToCloseTimeout": "-1"},
        {"defaultTaskStartToCloseTimeout": "1.5"},
        {"defaultTaskPriority": "high"},
        {"defaultTaskPriority": "2147483648"},
        {"name": "a/b"},
        {"name": "arn"},
        {"name": "a:b"},
        {"name": " a"},
        {"version": "a|b"},
        {"version": "1 "},
        {"defaultTaskList": {"name": "a:b"}},
    ):
        for word in ("ActivityType", "WorkflowType"):
            with bench.refused("ValidationException"):
                bench.here(f"Register{word}", **{"name": "new", "version": "1", **wrong})
    with bench.refused("ValidationException"):
        bench.here(
            "RegisterWorkflowType", name="new", version="1", defaultExecutionStartToCloseTimeout="NONE"
        )


@scenario(limits=replace(Limits.unthrottled(), types=3, domains=1))
def as_many_as_there_may_be(bench: Bench) -> None:
    bench.set_up()  # one domain, two types of each family
    bench.here("RegisterActivityType", name="new", version="1")
    bench.here("DeprecateActivityType", activityType={"name": "new", "version": "1"})
    with bench.refused("LimitExceededFault"):
        bench.here("RegisterActivityType", name="new", version="2")
    bench.here("RegisterWorkflowType", name="new", version="1")  # each family has its own number
    with bench.refused("LimitExceededFault"):
        bench.here("RegisterWorkflowType", name="new", version="2")
    bench.here("DeleteActivityType", activityType={"name": "new", "version": "1"})
    bench.here("RegisterActivityType", name="new", version="2")
    with bench.refused("LimitExceededFault"):
        bench.call("RegisterDomain", name="another", workflowExecutionRetentionPeriodInDays="1")
