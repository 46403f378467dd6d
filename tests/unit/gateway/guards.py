"""A guard to ask, its upstream with a scripted answer, and what the audit trail was told, in order."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sallyport.gateway.decisions import Decisions, Subject
from sallyport.gateway.guard_contract import Prompt
from sallyport.gateway.guard_hooks import Asking, GuardHooks
from sallyport.gateway.upstreams import NoSecret, Secret, Upstream, Upstreams
from sallyport.observability.log import Field
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.upstream_rules import UpstreamRules
from sallyport.policy.verification_rules import GuardHookRules
from sallyport.providers.transport import Transport, UpstreamRequest, UpstreamResponse
from sallyport.routing.residency import Caller

FRA, IRL, USA = "eu-central-1", "eu-west-1", "us-east-1"
ACME = Caller("acme", (FRA, IRL))
PROMPT = Prompt("r-1", "chat_completions", "gpt-4o", "acme", [("system", "Be kind."), ("user", "Grüße \U0001f600")])
ALLOW, BLOCK = b'{"action":"allow"}', b'{"action":"block"}'


class FakeAnswer:
    """An answer in pieces; a piece may be an exception to raise instead."""

    def __init__(self, *pieces: bytes | Exception, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.headers = {"content-type": "application/json"} if headers is None else headers
        self.given = 0
        self.is_closed = False
        self._pieces = pieces

    def chunks(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            self.given += 1
            yield piece

    def close(self) -> None:
        self.is_closed = True


class FakeTransport:
    """Gives answers in turn, and notes in `events` what was sent."""

    def __init__(self, events: list[tuple[str, Any]], answers: Sequence[FakeAnswer | Exception]) -> None:
        self._events = events
        self._answers = list(answers)
        self.waits: list[float] = []

    def send(self, request: UpstreamRequest, remaining_s: Callable[[], float]) -> UpstreamResponse:
        self._events.append(("sent", request))
        self.waits.append(remaining_s())
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Told:
    """An audit trail that notes its records in `events`; `failure` is raised instead of a decision."""

    def __init__(self, events: list[tuple[str, Any]], failure: Exception | None = None) -> None:
        self._events = events
        self._failure = failure

    def decision(self, **fields: Field) -> None:
        if self._failure is not None:
            raise self._failure
        self._events.append(("decision", fields))

    def outcome(self, **fields: Field) -> None:
        self._events.append(("outcome", fields))

    def anchor_if_due(self) -> None:
        pass


class Scene:
    """Guards `first`, `second` and so on, each at an upstream of its own."""

    def __init__(
        self,
        *answers: FakeAnswer | Exception,
        regions: Sequence[str] = (FRA,),
        on_failure: str = "closed",
        secret: Secret | None = None,
        audit_failure: Exception | None = None,
        **fields: Any,
    ) -> None:
        self.events: list[tuple[str, Any]] = []
        self.transport: Transport = FakeTransport(self.events, answers)
        names = ("first", "second", "third")[: len(regions)]
        self.guards = [GuardHookRules(name, f"at-{name}", 800, on_failure) for name in names]
        places = dict(zip(names, regions, strict=True))
        url = fields.pop("base_url", "https://guard.example/v1/check")
        upstreams = {
            f"at-{name}": UpstreamRules(f"at-{name}", "guard", url, region, **fields) for name, region in places.items()
        }
        self.rules = RouterRules(7, (), {}, None, upstreams=upstreams, allowed_regions=frozenset({FRA, IRL, USA}))
        self.decisions = Decisions(Told(self.events, audit_failure), "r-1", "chat_completions", FRA)
        self.secret = secret or NoSecret()

    def check(
        self, remaining_s: Callable[[], float] = lambda: 60.0, prompt: Prompt = PROMPT, caller: Caller = ACME
    ) -> list[str]:
        """Ask the guards, and give the findings as the log has them."""
        self.decisions.begin(Subject(caller.tenant, caller.residency, 7, "gpt-4o"), ())
        hooks = GuardHooks(Upstreams(self._upstream), monotonic=lambda: 100.0)
        asking = Asking(self.rules, caller, self.decisions, remaining_s)
        return [str(one) for one in hooks.check(self.guards, prompt, asking)]

    def _upstream(self, rules: UpstreamRules) -> Upstream:
        return Upstream(rules, "guard.example", None, self.transport, self.secret)

    @property
    def kinds(self) -> list[str]:
        """What happened, in order."""
        return [kind for kind, _ in self.events]

    @property
    def requests(self) -> list[UpstreamRequest]:
        """What guards were sent."""
        return [what for kind, what in self.events if kind == "sent"]

    @property
    def records(self) -> list[dict[str, Any]]:
        """What was decided, on record."""
        return [what for kind, what in self.events if kind == "decision"]


def saying(**fields: Any) -> FakeAnswer:
    """Give an answer with these fields."""
    return FakeAnswer(json.dumps(fields).encode())
