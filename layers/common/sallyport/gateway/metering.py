"""What a request is charged, from before it is forwarded until its answer is over, whatever becomes of it.

Nothing is charged for a request that wasn't forwarded. One that was stays counted; its tokens and its money are set to
what was really used: what the upstream reports, else an estimate of what passed by; nothing where it refused or failed.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from sallyport.gateway.limit_answers import refusal
from sallyport.gateway.reservation import Reservation, reserve
from sallyport.identity.principal import Principal
from sallyport.limits.admission import Admission, Unsettled
from sallyport.limits.cost import Usage, actual_cost, dearest
from sallyport.limits.estimate import estimate_output_tokens
from sallyport.limits.headers import limit_headers
from sallyport.limits.rules import Charged, Cost, Receipt, RuleState
from sallyport.limits.selection import Demand, caller_values, matching, rules_for
from sallyport.limits.totals import OTHER_MODEL, UsageTotals
from sallyport.observability.log import Field, Logger
from sallyport.policy.limit_rules import NANODOLLARS, SETTLED_UNITS, LimitRule, ModelRules, Price, RouterRules
from sallyport.policy.upstream_rules import Target
from sallyport.providers.usage import NoUsage, ReportedUsage, Seen

UNTIL_SPARE_S = 5
"""Between the deadline of an invocation and when it is surely over: clocks differ."""
NO_COST = Usage(0, 0)
_WITHOUT_OUTPUT = frozenset({"embeddings", "count_tokens", "apps"})


class AnswerUsage(Protocol):
    """What an answer says of its usage, once it is over."""

    @property
    def reported(self) -> ReportedUsage | None:
        """Give what the upstream says, None if it doesn't."""

    @property
    def seen(self) -> Seen:
        """Give how much of it passed by."""


class Asked(NamedTuple):
    """A request that may be made, as limits see it. `remaining_s`: until this invocation ends."""

    request_id: str
    route: str
    path: str
    principal: Principal
    source_ip: str
    body: Mapping[str, Any]
    remaining_s: float


class Metering:
    """Charges and settles requests; made once per process."""

    def __init__(
        self,
        admission: Admission,
        totals: UsageTotals,
        logger: Logger,
        max_output_tokens: int,
        now: Callable[[], float],
    ) -> None:
        """`max_output_tokens` is reserved for an answer where neither request nor model says how long it may be."""
        self.admission = admission
        self.totals = totals
        self.logger = logger
        self.now = now
        self._max_output_tokens = max_output_tokens

    def meter(self, rules: RouterRules, asked: Asked, targets: Sequence[Target] = ()) -> "Meter":
        """Make the meter of one request; nothing is charged yet. Raises `ModelNotAllowedError`.

        What is reserved is reckoned at the dearest of the targets that it may go to.
        """
        demand = _demand(asked)
        limits = matching(rules_for(rules, demand.tenant, asked.principal.limits), demand)
        model = (rules.models or {}).get(demand.model, ModelRules())
        dearest_model = model._replace(price=_dearest(model, targets))
        reservation = reserve(asked.route, asked.body, limits, dearest_model, self._max_output_tokens)
        demand = demand._replace(cost=reservation.cost)
        is_known = rules.models is not None
        return Meter(self, asked, _Terms(rules.version, limits, demand, reservation, model, is_known))


class _Terms(NamedTuple):
    """Under what a request is admitted. `is_known`: the policy names the model."""

    version: int
    limits: Sequence[LimitRule]
    demand: Demand
    reservation: Reservation
    model: ModelRules
    is_known: bool


class Meter:
    """One request's charge. `answer` is where its usage is read; `free`: the upstream did nothing for it."""

    def __init__(self, metering: Metering, asked: Asked, terms: _Terms) -> None:
        self._metering = metering
        self._request_id = asked.request_id
        self._path = asked.path
        self._tenant = asked.principal.tenant
        self._until_s = math.ceil(metering.now() + asked.remaining_s) + UNTIL_SPARE_S
        self._is_output_read = asked.route not in _WITHOUT_OUTPUT
        self._terms = terms
        self._receipts: tuple[Receipt, ...] = ()
        self._forwarded = False
        self._audited = False
        self._usage: Usage | None = None
        self._price = terms.reservation.price
        self.refused_by: str | None = None
        self.is_estimated = False
        self.free = False
        self.answer: AnswerUsage = NoUsage()

    @property
    def cap(self) -> int | None:
        """Give the tokens of one choice that must go upstream as the answer's limit, None for none."""
        return self._terms.reservation.cap

    @property
    def reserved(self) -> Cost:
        """Give what is charged at first."""
        return self._terms.reservation.cost

    def covers(self, other: "Meter") -> bool:
        """Say whether what this one reserves is enough for the other's request, too."""
        return all(amount <= self.reserved.get(unit, 0) for unit, amount in other.reserved.items())

    def admit(self) -> dict[str, str]:
        """Charge the request, and give the headers that say how the limits stand.

        Raises `SallyportError`, with such headers, when a limit refuses or the counters can't be asked.
        """
        terms = self._terms
        decision = self._metering.admission.admit(terms.limits, terms.demand, terms.version)
        self._receipts = decision.receipts
        headers = self._headers(decision.states, decision.refused_by)
        if decision.refused_by is None:
            return headers
        self.refused_by = decision.refused_by.rule.name
        error = refusal(decision, terms.demand, self._metering.now())
        error.headers = {**headers, **error.headers}
        raise error

    def forward(self) -> None:
        """Note that the request goes upstream now. Leaves on record what is refunded if this process dies."""
        self._forwarded = True
        charges = list(_open_charges(self._receipts))
        if charges:
            self._audited = True
            self._metering.logger.audit(
                "reservation", request_id=self._request_id, tenant=self._tenant, until=self._until_s, charges=charges
            )

    def go_to(self, target: Target) -> None:
        """Note where it goes: what is used is paid at that target's price. Of an earlier one nothing counts."""
        self._price = target.price or self._terms.model.price
        self.free, self.answer = False, NoUsage()

    def close(self) -> dict[str, Field]:
        """Reckon what was used once the answer is over, and give it as fields of the request's log line."""
        if not self._forwarded:
            return {"limit": self.refused_by}
        self._usage = usage = self._reckon()
        price = self._price
        return {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "usd": _nanodollars(usage, price) / NANODOLLARS if price else None,
            "usage_estimated": self.is_estimated or None,
        }

    def settle(self) -> None:
        """Set the charge to what was used, or take it back; then add it to the totals. Never raises.

        Where nobody could say what was used, because `close` failed or wasn't called, what was reserved stays charged.
        """
        admission, reservation = self._metering.admission, self._terms.reservation
        if not self._forwarded:
            if self._receipts:
                admission.refund(self._receipts)
            return
        usage = self._usage
        actual = reservation.cost if usage is None else actual_cost(usage, self._price)
        failed = admission.settle(self._receipts, reservation.cost, actual)
        if self._audited:
            self._metering.logger.audit(
                "settlement", request_id=self._request_id, settled=not failed, due=list(_due(failed)) or None
            )
        if usage is not None:
            self._add_up(usage)

    def _add_up(self, usage: Usage) -> None:
        model = self._terms.demand.model if self._terms.is_known or not self.free else OTHER_MODEL
        self._metering.totals.add(
            tenant=self._tenant,
            model=model,
            usage=usage,
            nanodollars=_nanodollars(usage, self._price),
            now_s=self._metering.now(),
        )

    def _reckon(self) -> Usage:
        if self.free:
            return NO_COST
        if (reported := self.answer.reported) is not None:
            return Usage(*reported)
        self.is_estimated = True
        seen = self.answer.seen
        output = estimate_output_tokens(seen.text_bytes, seen.chunks) if self._is_output_read else 0
        if seen.begun is not None:
            return Usage(*seen.begun._replace(output_tokens=max(output, seen.begun.output_tokens)))
        return Usage(self._terms.reservation.prompt_tokens or 0, output)

    def _headers(self, states: Sequence[RuleState], refused_by: RuleState | None) -> dict[str, str]:
        return limit_headers(states, refused_by, self._path, self._metering.now())


def _demand(asked: Asked) -> Demand:
    principal, model = asked.principal, asked.body["model"]
    values = caller_values(
        tenant=principal.tenant,
        subject=principal.subject,
        key=principal.key_family or principal.key_id,
        ip=principal.source_ip or asked.source_ip,
        model=model,
        route=asked.route,
    )
    return Demand(
        asked.route, model, principal.tenant, principal.scopes, values, cost={"requests": 1}, lease_s=asked.remaining_s
    )


def _dearest(model: ModelRules, targets: Sequence[Target]) -> Price | None:
    """Give a price that no target is above; None where one has none."""
    prices = [target.price or model.price for target in targets] or [model.price]
    return None if None in prices else dearest(price for price in prices if price is not None)


def _nanodollars(usage: Usage, price: Price | None) -> int:
    return actual_cost(usage, price).get("usd", 0)


def _due(failed: Sequence[Unsettled]) -> Iterator[str]:
    """Give what is still to be added to counters, in the form of a reservation's charges."""
    for receipt, due in failed:
        for charge in receipt.charges:
            if change := due.get(charge.unit, 0):
                yield _in_words(receipt.member, charge._replace(amount=change))


def _open_charges(receipts: Sequence[Receipt]) -> list[str]:
    """Give what a killed process would leave charged, each as `<member> <counter> <unit> <window> <amount>`."""
    return [
        _in_words(receipt.member, charge)
        for receipt in receipts
        if not receipt.in_memory
        for charge in receipt.charges
        if charge.unit in SETTLED_UNITS
    ]


def _in_words(member: str, charge: Charged) -> str:
    return f"{member} {charge.counter} {charge.unit} {charge.window} {charge.amount}"
