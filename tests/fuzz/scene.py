"""A provider's route with nothing behind it but memory: what goes out is recorded, what comes back is as told."""

import io
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from sallyport.errors import SallyportError
from sallyport.gateway.deadline import Deadline
from sallyport.gateway.guard_hooks import GuardHooks
from sallyport.gateway.metering import Metering
from sallyport.gateway.operations import CHAT_COMPLETIONS, COUNT_TOKENS, EMBEDDINGS, MESSAGES, RESPONSES
from sallyport.gateway.provider_route import Pace, ProviderRoute, Rooms
from sallyport.gateway.upstreams import NoSecret, Upstream, Upstreams
from sallyport.gateway.verifying import CurrentChecks
from sallyport.identity.principal import Principal
from sallyport.limits.admission import Admission
from sallyport.limits.memory import MemoryCounterStore
from sallyport.limits.sliding import SlidingLimiter
from sallyport.limits.totals import Total, UsageTotals
from sallyport.observability.log import Field, Logger
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.upstream_rules import DEFAULT_UPSTREAM, UpstreamRules
from sallyport.policy.verification_rules import VerificationRules
from sallyport.providers.anthropic import AnthropicProvider
from sallyport.providers.openai import OpenAiProvider
from sallyport.providers.provider import Provider
from sallyport.providers.transport import UpstreamRequest
from sallyport.routing.breaker import Breakers
from sallyport.runtime.streaming import StreamedResponse
from sallyport.verification.schema import RequestSchema
from tests.support.canaries import canaries
from tests.support.events import Context, proxy_event

OPERATIONS = {each.name: each for each in (CHAT_COMPLETIONS, RESPONSES, EMBEDDINGS, MESSAGES, COUNT_TOKENS)}
PATHS = {
    "chat_completions": "/v1/chat/completions",
    "responses": "/v1/responses",
    "embeddings": "/v1/embeddings",
    "messages": "/v1/messages",
    "count_tokens": "/v1/messages/count_tokens",
}
REGION = "us-east-1"
CALLER = Principal("api_key", "acme", "demo", "KeyId00000000001", ("chat", "embeddings"), None, (REGION,))
JSON, EVENT_STREAM = "application/json", "text/event-stream"
_NOW_S = 1_800_000_000.0


class Told(NamedTuple):
    """What the upstream answers."""

    chunks: tuple[bytes, ...]
    content_type: str = JSON
    status: int = 200


class Answered(NamedTuple):
    """What the client gets. `event` is the in-band error's, empty where the stream didn't break off."""

    status: int
    body: bytes
    event: bytes
    broke_off: bool


class _Response:
    def __init__(self, told: Told) -> None:
        self.status = told.status
        self.headers: Mapping[str, str] = {"content-type": told.content_type}
        self._chunks = told.chunks

    def chunks(self) -> Iterator[bytes]:
        yield from self._chunks

    def close(self) -> None:
        pass


class _Quiet:
    """An audit trail, and a store of totals, that keep nothing."""

    def decision(self, **fields: Field) -> None:
        pass

    def outcome(self, **fields: Field) -> None:
        pass

    def anchor_if_due(self) -> None:
        pass

    def add(self, tenant: str, day: str, model: str, total: Total, expires_at_s: int) -> None:
        pass


class Scene:
    """One route before one kind of provider, under one set of rules; it is its own policy and transport.

    `stream_usage`: every chat stream is asked for its usage, which is taken out again.
    """

    def __init__(self, route: str, provider: str, rules: VerificationRules, *, stream_usage: bool = False) -> None:
        self.route, self.provider = route, provider
        self._stream_usage = stream_usage
        self.sent: list[bytes] = []
        self.told = Told((b"{}",))
        self.log = io.StringIO()
        upstream = UpstreamRules(DEFAULT_UPSTREAM, provider, "https://x.example.com/v1", REGION)
        self._rules = RouterRules(
            1,
            (),
            {},
            None,
            upstreams={DEFAULT_UPSTREAM: upstream},
            allowed_regions=frozenset({REGION}),
            verification=rules,
        )
        self._logger = Logger("route", "stack", write=self._write)
        self._serve = ProviderRoute(OPERATIONS[route], self._rooms())

    def get(self) -> RouterRules:
        return self._rules

    def refresh_early(self) -> None:
        pass

    def send(self, request: UpstreamRequest, remaining_s: Callable[[], float]) -> _Response:
        self.sent.append(request.body)
        return _Response(self.told)

    def ask(self, text: str, told: Told, headers: Mapping[str, str] | None = None) -> Answered:
        """Have a body answered; `sent` and `log` are those of this request then."""
        self.sent, self.told = [], told
        self.log.seek(0)
        self.log.truncate()
        context = Context()
        event = proxy_event("POST", PATHS[self.route], text, headers=headers, principal=CALLER)
        answered = _drained(self._serve(event, context))
        context.finish()
        return answered

    def _write(self, line: str) -> None:
        self.log.write(line)

    def _rooms(self) -> Rooms:
        schema, upstreams = RequestSchema.built_in(self.route), Upstreams(self._upstream)
        return Rooms(
            schema=schema,
            checks=CurrentChecks(self.route, schema),
            policy=self,
            metering=self._metering(),
            canaries=canaries(logger=self._logger),
            upstreams=upstreams,
            guards=GuardHooks(upstreams),
            breakers=Breakers(_now_s),
            trail=_Quiet(),
            stored=None,
            home_region=REGION,
            stream_usage=self._stream_usage,
            pace=Pace(0, _now_s, lambda _: None, lambda low, high: (low + high) / 2),
            logger=self._logger,
            deadline=Deadline(),
        )

    def _metering(self) -> Metering:
        limiter = SlidingLimiter(MemoryCounterStore(), _now_ms)
        admission = Admission(limiter, lambda: limiter, _now_ms, self._write, lambda *why: self._write(str(why)))
        return Metering(admission, UsageTotals(_Quiet(), self._write), self._logger, 500, _now_s)

    def _upstream(self, rules: UpstreamRules) -> Upstream:
        provider: Provider = OpenAiProvider(rules) if self.provider == "openai" else AnthropicProvider(rules, _now_s)
        return Upstream(rules, "x.example.com", provider, self, NoSecret())


def _drained(response: StreamedResponse) -> Answered:
    body: list[bytes] = []
    event, broke_off = b"", False
    try:
        body.extend(response.body)
    except SallyportError as error:
        broke_off = True
        event = response.error_event(error) if response.error_event else b""
    finally:
        getattr(response.body, "close", lambda: None)()
    return Answered(response.status, b"".join(body), event, broke_off)


def _now_s() -> float:
    return _NOW_S


def _now_ms() -> int:
    return int(_NOW_S * 1000)
