"""What it costs to decide where a request may go, however many tenants and targets the policy has."""

from collections.abc import Callable, Sequence
from itertools import cycle

from bench.cpu import Case, figure, measure
from bench.emulator import BenchmarkError
from bench.tables import print_table
from sallyport.policy.limit_rules import ModelRules, RouterRules
from sallyport.policy.upstream_rules import Target, UpstreamRules
from sallyport.routing.attempts import Attempts
from sallyport.routing.breaker import Breakers
from sallyport.routing.residency import Caller, check_home, consider, eligible, targets_of

SIZES = (10, 100, 1000)
BATCHES, CALLS = 9, 2000
HOME = "eu-central-1"
REGIONS = (HOME, "eu-west-1", "us-east-1", "us-west-2", "ap-northeast-1")
TARGETS_EACH = 3


def print_decisions() -> None:
    """Measure and print."""
    many, long = policy_cases(), candidate_cases()
    figures = measure([*many, *long], BATCHES)
    print("Microseconds of CPU to decide where one request goes, in this process, user and kernel: median of")
    print(f"{BATCHES} batches of {CALLS} decisions. The home region, the model's targets, what each is for the caller,")
    print(f"and which is tried first. Each model has {TARGETS_EACH} targets, callers and models take turns.\n")
    rows = [[case.name, figure(figures[case.name].median_us), figures[case.name].range()] for case in many]
    print_table(["tenants, models and upstreams", "median us", "range"], rows)
    print("\nOne model with ever more targets, every one of which is considered, for the audit record says why:\n")
    rows = [
        [case.name, figure(figures[case.name].median_us), figure(figures[case.name].median_us / size)]
        for case, size in zip(long, SIZES, strict=True)
    ]
    print_table(["targets of the model", "median us", "us per target"], rows)


def policy_cases(sizes: Sequence[int] = SIZES, calls: int = CALLS) -> list[Case]:
    """Give decisions under policies of so many tenants, each with a residency of its own kind, and models."""
    return [_case(f"{size:,}", calls, _callers(size), _models(size, TARGETS_EACH)) for size in sizes]


def candidate_cases(sizes: Sequence[int] = SIZES, calls: int = CALLS) -> list[Case]:
    """Give decisions for one model of so many targets."""
    return [
        _case(f"{size:,} of one model", max(calls * 10 // size, 1), _callers(1), _models(1, size)) for size in sizes
    ]


def _callers(count: int) -> list[Caller]:
    """Give tenants of which all may be handled at home, each with another list of regions besides."""
    return [Caller(f"tenant-{number}", (HOME, REGIONS[number % 2], f"eu-north-{number}")) for number in range(count)]


def _models(count: int, targets_each: int) -> RouterRules:
    """Give a policy whose models' first target is abroad, and the others in turn in every region."""
    upstreams, models = {}, {}
    for number in range(count):
        targets = []
        for place in range(targets_each):
            name, region = f"upstream-{number}-{place}", REGIONS[(place + 2) % len(REGIONS)]
            upstreams[name] = UpstreamRules(name, "openai", f"https://{name}.example.com/v1", region)
            targets.append(Target(name, "m", (region,)))
        home = UpstreamRules(f"home-{number}", "openai", "https://home.example.com/v1", HOME)
        upstreams[home.name] = home
        models[f"model-{number}"] = ModelRules(targets=(*targets[:-1], Target(home.name, "m", (HOME,))))
    return RouterRules(1, (), {}, models, upstreams=upstreams, allowed_regions=frozenset(REGIONS))


def decide(rules: RouterRules, caller: Caller, model: str, breakers: Breakers) -> Target:
    """Decide as a route does."""
    check_home(caller, HOME, rules.endpoints)
    considered = consider(targets_of(model, rules), rules, caller, _serves)
    return Attempts(eligible(considered), breakers, 2, _middle, model).first()


def _case(name: str, calls: int, callers: Sequence[Caller], rules: RouterRules) -> Case:
    breakers = Breakers(lambda: 0.0)
    for number, caller in enumerate(callers):
        chosen = decide(rules, caller, f"model-{number}", breakers)
        if not set(chosen.regions) <= set(caller.residency):
            raise BenchmarkError("a decision led abroad")
    return Case(name, calls, lambda: _batch(calls, callers, rules, breakers))


def _batch(calls: int, callers: Sequence[Caller], rules: RouterRules, breakers: Breakers) -> Callable[[], object]:
    turns = cycle([(caller, f"model-{number}") for number, caller in enumerate(callers)])

    def batch() -> None:
        for _ in range(calls):
            caller, model = next(turns)
            decide(rules, caller, model, breakers)

    return batch


def _serves(upstream: UpstreamRules) -> bool:
    return upstream.provider == "openai"


def _middle(low: float, high: float) -> float:
    return (low + high) / 2
