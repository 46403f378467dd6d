"""Policy documents from text: values, checks and the line of everything, so that an error says where to look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from sallyport_cli.policy.bedrock_models import Resolver
from sallyport_cli.policy.beside import NO_FILES, Beside, files_beside
from sallyport_cli.policy.canary_warnings import canary_warnings
from sallyport_cli.policy.field_types import Surroundings
from sallyport_cli.policy.limit_checks import limit_warnings
from sallyport_cli.policy.model import Identity, Policy
from sallyport_cli.policy.problems import Problem, field_name, in_lines, read_problems
from sallyport_cli.policy.residency_warnings import residency_warnings
from sallyport_cli.policy.schema import policy_schema
from sallyport_cli.policy.targets import Regions, regions_of_targets
from sallyport_cli.policy.upstream_checks import upstream_warnings
from sallyport_cli.policy.verification_checks import verification_warnings
from sallyport_cli.policy.yaml_reading import Lines, Parsed, Path, YamlError, parse_yaml


class PolicyFileError(Exception):
    """A document is refused. Its text is one line per mistake: `file:line: field: reason`, in the file's order."""

    def __init__(self, name: str, problems: list[Problem]) -> None:
        super().__init__(in_lines(name, problems))
        self.problems = problems


@dataclass(frozen=True)
class Document:
    """A sound document. `text` is what it was read from; `warnings` are lines like those of `PolicyFileError`.

    `regions` are those of its targets, `beside` what the files that it names hold; without them, as one is that was
    taken before, it can't be compiled.
    """

    name: str
    text: str
    policy: Policy
    lines: Lines
    warnings: tuple[str, ...] = ()
    regions: Regions = field(default_factory=dict)
    beside: Beside = NO_FILES


def read_document(
    text: str,
    name: str,
    *,
    local: bool,
    resolve: Resolver | None = None,
    was_taken: bool = False,
    folder: FilePath | None = None,
) -> Document:
    """Read and check a document in YAML or JSON. `name` stands in messages; `local` takes http to this machine.

    `resolve` asks AWS where inference profiles process; None: there is none to ask. Of a document that `was_taken`
    before, nobody is asked again. `folder` holds the files that it names; None: there are none. Raises
    `PolicyFileError`.
    """
    try:
        parsed = parse_yaml(text)
    except YamlError as error:
        raise PolicyFileError(name, [Problem(error.line, "", error.reason)]) from None
    policy = _check(parsed, name, Surroundings(local, _zones(parsed.values)))
    regions = {} if was_taken else _regions(policy, parsed.lines, name, resolve)
    beside = NO_FILES if was_taken else _beside(policy, parsed.lines, name, folder)
    warnings = [problem.located(name) for problem in _warnings(policy, regions, parsed.lines)]
    return Document(name, text, policy, parsed.lines, tuple(warnings), regions, beside)


def _regions(policy: Policy, lines: Lines, name: str, resolve: Resolver | None) -> Regions:
    regions, problems = regions_of_targets(policy, resolve)
    _refuse(problems, lines, name)
    return regions


def _beside(policy: Policy, lines: Lines, name: str, folder: FilePath | None) -> Beside:
    beside, problems = files_beside(policy, folder)
    _refuse(problems, lines, name)
    return beside


def _refuse(problems: Sequence[tuple[Path, str]], lines: Lines, name: str) -> None:
    if problems:
        found = [Problem(lines.of_value(path), field_name(path), reason) for path, reason in problems]
        raise PolicyFileError(name, found)


def _check(parsed: Parsed, name: str, surroundings: Surroundings) -> Policy:
    """Check everything, so that all mistakes are told at once."""
    empty = {path: Problem(parsed.lines.of_value(path), field_name(path), _EMPTY) for path in _nothings(parsed.values)}
    try:
        policy = Policy.model_validate(parsed.values, context=surroundings)
        problems = []
    except ValidationError as error:
        policy = None
        problems = read_problems(error, policy_schema, parsed.lines)
    fields = {problem.field for problem in empty.values()}
    problems = [*empty.values(), *(problem for problem in problems if problem.field not in fields)]
    if policy is None or problems:
        raise PolicyFileError(name, problems)
    return policy


_EMPTY = "has no value; give one, or take the key out"


def _nothings(value: Any, path: Path = ()) -> Iterator[Path]:
    """Find what has no value. It isn't the same as a key left out: `models:` with nothing below may be a slip."""
    if value is None:
        yield path
    elif path[:1] == ("verification",) and path[-1] == "schema":
        return  # null is a value in a JSON Schema
    elif isinstance(value, dict):
        for key, below in value.items():
            yield from _nothings(below, (*path, key))
    elif isinstance(value, list) and None in value:
        yield from ((*path, place) for place, item in enumerate(value) if item is None)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            if isinstance(item, dict | list):
                yield from _nothings(item, (*path, place))


def _zones(values: dict[str, Any]) -> frozenset[str]:
    """The zones that residencies may name, also in a document with mistakes elsewhere."""
    residency = values.get("residency")
    zones = residency.get("zones") if isinstance(residency, dict) else None
    return frozenset(zones) if isinstance(zones, dict) else frozenset()


def _warnings(policy: Policy, regions: Regions, lines: Lines) -> Iterator[Problem]:
    if policy.identity is not None:
        yield from _unbound_issuers(policy.identity, lines)
    access = policy.access
    if access is not None and not access.trusted_proxies and (access.countries.allow or access.countries.deny):
        effect = "everyone is refused" if access.countries.allow else "nobody is refused by it"
        reason = f"warning: without trusted_proxies and origin_secret no country is known, so {effect}"
        yield Problem(lines.of_key(("access", "countries")), "access.countries", reason)
    found = (*limit_warnings(policy), *upstream_warnings(policy), *canary_warnings(policy))
    for path, reason in (*found, *residency_warnings(policy, regions), *verification_warnings(policy)):
        yield Problem(lines.of_value(path), field_name(path), reason)


def _unbound_issuers(identity: Identity, lines: Lines) -> Iterator[Problem]:
    if len(identity.issuers) == 1:
        return
    for place, issuer in enumerate(identity.issuers):
        if issuer.tenant is None and not issuer.tenants:
            path = ("identity", "issuers", place)
            reason = "warning: has neither tenant nor tenants, so its tokens can name the other issuers' tenants"
            yield Problem(lines.of_value(path), field_name(path), reason)
