"""Setting counters back to nothing: all of a member's, or those of one rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sallyport.adapters.dynamodb_counters import SORT_KEY
from sallyport.policy.limit_rules import LimitRule
from sallyport_cli.limits.counted import Counted

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_IDENTITIES: Final = ("key", "subject", "ip", "tenant")


@dataclass(frozen=True)
class Member:
    """What is counted for one member of a scope, in one item."""

    name: str
    shown: str
    rules: Sequence[LimitRule]


def narrowest(named: Sequence[str]) -> frozenset[str]:
    """Give the parts of scopes that a reset is about, of those that were named: for a key, not its tenant.

    A subject is that of a JWT, which limits by key count too.
    """
    found = next(part for part in (*_IDENTITIES, "model", "global") if part in named)
    return frozenset({"key", "subject"} if found == "subject" else {found})


def to_reset(counters: Sequence[Counted], about: frozenset[str], *, by_model: bool = False) -> list[Member]:
    """Give the members whose narrowest part is one of `about`; `global` stands for route too.

    `by_model`: only those that count by model.
    """
    members: dict[str, list[Counted]] = {}
    for counted in counters:
        scope = counted.rule.scope
        if next((part for part in (*_IDENTITIES, "model") if part in scope), "global") not in about:
            continue
        if "model" in scope or not by_model:
            members.setdefault(counted.member, []).append(counted)
    return [Member(name, found[0].shown, [one.rule for one in found]) for name, found in members.items()]


def reset(client: DynamoDBClient, table: str, member: Member, *, whole: bool) -> list[str]:
    """Forget what is counted for a member by its rules; `whole`: also by rules that aren't in force any more.

    Gives the names of the rules by which something was counted. Raises botocore's errors.
    """
    key = {"pk": {"S": f"limit#{member.name}"}, "sk": {"S": SORT_KEY}}
    if whole:
        before: Any = client.delete_item(TableName=table, Key=key, ReturnValues="ALL_OLD").get("Attributes", {})
    else:
        before = _remove(client, table, key, member.rules)
    return [rule.name for rule in member.rules if any(name in before for name in _attributes(rule))]


def _remove(client: DynamoDBClient, table: str, key: Any, rules: Sequence[LimitRule]) -> Any:
    names = {f"#n{number}": name for number, name in enumerate(name for rule in rules for name in _attributes(rule))}
    try:
        answer = client.update_item(
            TableName=table,
            Key=key,
            UpdateExpression="REMOVE " + ", ".join(names),
            ConditionExpression="attribute_exists(pk)",
            ExpressionAttributeNames=names,
            ReturnValues="ALL_OLD",
        )
    except client.exceptions.ConditionalCheckFailedException:
        return {}
    return answer.get("Attributes", {})


def _attributes(rule: LimitRule) -> list[str]:
    return [kind + rule.counter for kind in ("l" if rule.unit == "concurrent" else "wcp")]
