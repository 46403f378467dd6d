"""What the audit trail is told of one request: where it may go and why, before it goes there, and how that ended."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from sallyport.gateway.upstreams import Upstream
from sallyport.observability.log import Field
from sallyport.policy.upstream_rules import Target
from sallyport.routing.residency import Considered


class Trail(Protocol):
    """Keeps the records; `observability.audit.AuditTrail` chains them."""

    def decision(self, **fields: Field) -> None:
        """Write what was decided, at once."""

    def outcome(self, **fields: Field) -> None:
        """Write what became of it."""

    def anchor_if_due(self) -> None:
        """Anchor the chain's head, after a response."""


class Subject(NamedTuple):
    """Whose request, for what, under which policy. `model` is what the client calls it, None if that can't be shown."""

    tenant: str
    residency: Sequence[str]
    policy_version: int
    model: str | None


class Decisions:
    """One request's records: a decision for every sending, or one that refuses; then one outcome."""

    def __init__(self, trail: Trail, request_id: str, route: str, home_region: str) -> None:
        self._trail = trail
        self._common: dict[str, Field] = {"request_id": request_id, "route": route, "home": home_region}
        self._last: dict[str, Field] = {}
        self.sendings = 0

    def begin(self, subject: Subject, considered: Iterable[Considered]) -> None:
        """Take in whose request it is, and every target that was looked at."""
        self._common |= {
            "tenant": subject.tenant,
            "residency": list(subject.residency),
            "policy_version": subject.policy_version,
            "alias": subject.model,
            "considered": list(map(_in_words, considered)),
        }

    def note_canary(self, fields: Mapping[str, Field], considered: Iterable[Considered]) -> None:
        """Add the part in a canary, and the target that was looked at for it."""
        self._common |= fields
        self._consider(considered)

    def note_guards(self, considered: Iterable[Considered]) -> None:
        """Add the guards that were looked at; one that the caller's data may not go to is never asked."""
        self._consider(considered)

    def refuse(self, code: str) -> None:
        """Record that it goes nowhere."""
        self._trail.decision(**self._common, verdict="refuse", code=code)
        self._last = {"verdict": "refuse"}

    def consult(self, upstream: Upstream, guard: str) -> None:
        """Record that a guard is shown the prompt, right before it is: a sending as well, but none to a target."""
        rules = upstream.rules
        self._trail.decision(
            **self._common,
            upstream=rules.name,
            region=rules.region,
            regions=[rules.region],
            verdict="forward",
            host=upstream.host,
            basis="proved" if rules.is_proved else "declared",
            guard=guard,
        )
        self._last = {"guard": guard}

    def forward(self, upstream: Upstream, target: Target, model: str | None) -> None:
        """Record where it goes, right before it does. `model` is its name there, None if that can't be shown."""
        self.sendings += 1
        rules = upstream.rules
        where: dict[str, Field] = {"upstream": rules.name, "region": rules.region, "regions": list(target.regions)}
        self._trail.decision(
            **self._common,
            **where,
            verdict="forward",
            host=upstream.host,
            model=model,
            basis="proved" if rules.is_proved else "declared",
            attempt=self.sendings,
        )
        self._last = where

    def _consider(self, considered: Iterable[Considered]) -> None:
        seen = self._common.get("considered")
        self._common["considered"] = [*(seen if isinstance(seen, list) else ()), *map(_in_words, considered)]

    def end(self, **fields: Field) -> None:
        """Record the outcome of what was decided last; nothing where nothing was."""
        if self._last:
            request_id, route = self._common["request_id"], self._common["route"]
            tenant = self._common["tenant"]
            self._trail.outcome(
                request_id=request_id, route=route, tenant=tenant, **self._last, attempts=self.sendings, **fields
            )


def _in_words(one: Considered) -> str:
    return f"{one.target.id} {'+'.join(one.target.regions)} {one.verdict}"
