"""Requests that are not well formed: what is wrong is told as SWF tells it."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("botocore", reason="the local SWF needs botocore, of the extra `swf`")

from flowy.testing.swf import Fault
from flowy.testing.swf.model import load_model

START = {"domain": "d", "workflowId": "w", "workflowType": {"name": "n", "version": "1"}}
NULL = "Value null at '{}' failed to satisfy constraint: Member must not be null"
LONG = "failed to satisfy constraint: Member must have length less than or equal to"


@pytest.mark.parametrize(
    ("operation", "request_", "kind", "words"),
    [
        ("Dance", {}, "UnknownOperationException", "no operation 'Dance'"),
        ("ListDomains", [], "SerializationException", "The request can't be read as a structure"),
        ("ListDomains", {}, "ValidationException", NULL.format("registrationStatus")),
        ("ListDomains", {"registrationStatus": None}, "ValidationException", "Value null"),
        (
            "ListDomains",
            {"registrationStatus": "GONE"},
            "ValidationException",
            "Value 'GONE' at 'registrationStatus' failed to satisfy constraint: "
            "Member must satisfy enum value set: [REGISTERED, DEPRECATED]",
        ),
        (
            "ListDomains",
            {"registrationStatus": "REGISTERED", "maximumPageSize": 1001},
            "ValidationException",
            "Member must have value less than or equal to 1000",
        ),
        (
            "ListDomains",
            {"registrationStatus": "REGISTERED", "maximumPageSize": True},
            "SerializationException",
            "can't be read as Integer: it is of the type bool",
        ),
        ("StartWorkflowExecution", {**START, "more": 1}, "SerializationException", "no member 'more'"),
        ("StartWorkflowExecution", {**START, "input": 5}, "SerializationException", "read as String"),
        ("StartWorkflowExecution", {**START, "tagList": "x"}, "SerializationException", "a list"),
        ("StartWorkflowExecution", {**START, "tagList": ["x"] * 6}, "ValidationException", "equal to 5"),
        (
            "StartWorkflowExecution",
            {**START, "tagList": [None]},
            "ValidationException",
            "tagList.1.member",
        ),
        (
            "StartWorkflowExecution",
            {**START, "workflowType": {"name": "n"}},
            "ValidationException",
            NULL.format("workflowType.version"),
        ),
        (
            "StartWorkflowExecution",
            {**START, "input": "x" * 32769},
            "ValidationException",
            f"{LONG} 32768",
        ),
        (
            "RespondDecisionTaskCompleted",
            {"taskToken": "t", "decisions": [{"decisionType": "Dance"}]},
            "ValidationException",
            "Value 'Dance' at 'decisions.1.member.decisionType'",
        ),
        (
            "RegisterDomain",
            {},
            "ValidationException",
            "2 validation errors detected: Value null at 'name'",
        ),
    ],
)
def test_what_is_wrong_is_told(operation: str, request_: Any, kind: str, words: str) -> None:
    with pytest.raises(Fault) as caught:
        load_model().validate(operation, request_)
    assert caught.value.kind == kind
    assert words in caught.value.message
    assert caught.value.status == 400
    assert caught.value.type.endswith(f"#{kind}")


def test_what_is_well_formed_is_taken() -> None:
    load_model().validate("StartWorkflowExecution", {**START, "input": "x" * 32768, "taskList": None})
    load_model().validate("ListDomains", {"registrationStatus": "REGISTERED", "maximumPageSize": 0})
