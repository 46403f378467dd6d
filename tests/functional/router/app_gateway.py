"""The route to apps, called with events: a real app on loopback, the policy and the audit trail in memory."""

import json
from collections.abc import Mapping
from typing import Any

from sallyport.adapters.upstream_http import HttpTransport
from sallyport.errors import SecretUnavailableError
from sallyport.gateway.app_route import AppRoute, Rooms
from sallyport.gateway.deadline import Deadline
from sallyport.gateway.metering import Metering
from sallyport.gateway.upstreams import Upstream, Upstreams
from sallyport.limits.admission import Admission
from sallyport.limits.memory import MemoryCounterStore
from sallyport.limits.rules import Cost, Receipt
from sallyport.limits.sliding import SlidingLimiter
from sallyport.limits.totals import Total, UsageTotals
from sallyport.observability.log import Field, Logger
from sallyport.policy.current import PolicyUnavailableError
from sallyport.policy.limit_parameters import LimitSettings, parameter_rules
from sallyport.policy.limit_rules import RouterRules
from sallyport.policy.upstream_rules import AppRules, UpstreamRules
from sallyport.policy.urls import parse_url
from sallyport.runtime.streaming import StreamedResponse
from tests.functional.router.gateway import NOW_S, Answered, drain
from tests.support.canaries import Counted, canaries
from tests.support.events import ACME, Context, proxy_event
from tests.support.servers import Peer, Received

SECRET = "an-apps-signing-secret-of-40-characters-"
CALLER = ACME._replace(scopes=("apps",))


class App:
    """An app that answers as the test says."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.status = 200
        self.body = b'{"ok": true}'
        self.headers = {"content_type": "application/json"}
        self.chunks: list[bytes] | None = None
        self.cut = False
        self.silent = False

    def __call__(self, peer: Peer) -> None:
        while (request := peer.read()) is not None:
            self.received.append(request)
            if self.silent:
                return peer.wait_closed()
            if request.method == "HEAD":
                peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\netag: 1\r\n\r\n")
                continue
            if self.chunks is None:
                peer.answer(self.status, self.body, **self.headers)
                continue
            peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-type: text/event-stream\r\n\r\n")
            for chunk in self.chunks:
                peer.chunk(chunk)
            if self.cut:
                return None
            peer.chunk(b"")
        return None


class FixedPolicy:
    """The policy that a test says; None: it can't be read."""

    def __init__(self, rules: RouterRules | None) -> None:
        self.rules = rules
        self.refreshed = 0

    def get(self) -> RouterRules:
        if self.rules is None:
            raise PolicyUnavailableError
        return self.rules

    def refresh_early(self) -> None:
        self.refreshed += 1


class KeptTrail:
    """Keeps what the audit trail is told; `received` counts the app's requests at that time."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.decisions: list[dict[str, Field]] = []
        self.outcomes: list[dict[str, Field]] = []
        self.received: list[int] = []
        self.anchored = 0

    def decision(self, **fields: Field) -> None:
        self.decisions.append(fields)
        self.received.append(len(self._app.received))

    def outcome(self, **fields: Field) -> None:
        self.outcomes.append(fields)

    def anchor_if_due(self) -> None:
        self.anchored += 1


class FixedSecret:
    """A secret that can be read unless it is None."""

    def __init__(self, text: str | None) -> None:
        self.text = text

    def read(self) -> str:
        if self.text is None:
            raise SecretUnavailableError("The upstream's credential can't be read.")
        return self.text

    def expire(self) -> None:
        raise AssertionError


class Totals:
    """Keeps what is added."""

    def __init__(self) -> None:
        self.added: list[tuple[str, str, Total]] = []

    def add(self, tenant: str, day: str, model: str, total: Total, expires_at_s: int) -> None:
        self.added.append((tenant, model, total))


class AppGateway:
    """The function, with one app called `summarizer` at `url`; `rules` may be changed before a request."""

    def __init__(self, app: App, url: str, *, secret: str | None = SECRET, limits: LimitSettings | None = None) -> None:
        self.app = app
        self.lines: list[str] = []
        self.totals = Totals()
        self.trail = KeptTrail(app)
        self.secret = FixedSecret(secret)
        self.other_secrets: dict[str, FixedSecret] = {}
        self.counted = Counted()
        upstream = UpstreamRules("my-app", "app", url + "/base", "us-east-1", "stack/upstreams/my-app")
        parameters = parameter_rules(limits or LimitSettings(requests_per_minute=1000))
        self.rules = parameters._replace(
            upstreams={"my-app": upstream},
            apps={"summarizer": AppRules("my-app", ("acme",), ("x-custom",), ("x-other",))},
            allowed_regions=frozenset({"us-east-1"}),
        )
        self.policy = FixedPolicy(self.rules)
        self.logger = Logger("app", "stack", write=self.lines.append, now=lambda: NOW_S)
        self.route = AppRoute(self._rooms())

    def _rooms(self, home_region: str = "us-east-1") -> Rooms:
        return Rooms(
            policy=self.policy,
            metering=self._metering(),
            canaries=canaries(counter=self.counted, logger=self.logger, home_region=home_region),
            upstreams=Upstreams(self._upstream),
            trail=self.trail,
            home_region=home_region,
            now_s=lambda: NOW_S,
            logger=self.logger,
            deadline=Deadline(),
        )

    def _metering(self) -> Metering:
        def now_ms() -> int:
            return int(NOW_S * 1000)

        def no_fallback() -> SlidingLimiter:
            raise AssertionError

        def tell_unsettled(receipt: Receipt, changes: Cost, reason: str) -> None:
            raise AssertionError(reason)

        limiter = SlidingLimiter(MemoryCounterStore(), now_ms)
        admission = Admission(limiter, no_fallback, now_ms, self.lines.append, tell_unsettled)
        return Metering(admission, UsageTotals(self.totals, self.lines.append), self.logger, 500, lambda: NOW_S)

    def _upstream(self, rules: UpstreamRules) -> Upstream:
        transport = HttpTransport(rules.base_url, 1, 0.5)
        secret = self.other_secrets.get(rules.name, self.secret)
        return Upstream(rules, parse_url(rules.base_url).authority, None, transport, secret)

    def at_home_in(self, region: str) -> "AppGateway":
        """Have the function run in another region."""
        self.route = AppRoute(self._rooms(region))
        return self

    def under(self, **changes: Any) -> "AppGateway":
        """Change the rules in force."""
        assert self.policy.rules is not None
        self.policy.rules = self.policy.rules._replace(**changes)
        return self

    def ask(self, method: str, path: str = "v1/run", body: Any = None, **options: Any) -> Answered:
        """Ask for a path below `/apps/summarizer/`, and read the answer to its end."""
        context = options.pop("context", None) or Context()
        answered = drain(self.begin(method, path, body, context=context, **options))
        context.finish()
        return answered

    def begin(
        self,
        method: str,
        path: str | None = "v1/run",
        body: Any = None,
        *,
        context: Context,
        name: str = "summarizer",
        query: Mapping[str, list[str]] | None = None,
        **options: Any,
    ) -> StreamedResponse:
        """Ask, and give the answer before anything of it is read."""
        options.setdefault("principal", CALLER)
        variables = {"name": name} | ({} if path is None else {"proxy": path})
        whole = f"/apps/{name}" + ("" if path is None else f"/{path}")
        resource = "/apps/{name}" + ("" if path is None else "/{proxy+}")
        event = proxy_event(method, whole, body, resource=resource, path_parameters=variables, **options)
        return self.route({**event, "multiValueQueryStringParameters": query}, context)

    def sent(self) -> Received:
        """Give the one request that the app has received."""
        (request,) = self.app.received
        return request

    def log_line(self) -> dict[str, Any]:
        """Give the one log line of a request."""
        (line,) = [line for line in map(json.loads, self.lines) if line.get("message") == "request"]
        return dict(line)


def problem(answered: Answered) -> tuple[int, str]:
    """Give an error's status and code, checking that it is a problem (RFC 9457)."""
    body = json.loads(answered.body)
    assert answered.headers["content-type"] == "application/problem+json"
    assert body["status"] == answered.status
    return answered.status, body["code"]
