"""Whether one arm fails more than the other, with an error rate that holds however often one looks.

A guard looks every minute. Of a test made for one look, as many looks make a false alarm a matter of time; this one
may be looked at after each request. And callers stay on their arm: what one of them sends is alike (one has a prompt
that always fails, another a client that never does), so requests aren't independent, though callers are.

- **Over time**: the mixture sequential probability ratio test of Robbins (1970, "Statistical methods related to the
  law of the iterated logarithm"), as Johari, Koomen, Pekelis and Walsh (2017, "Peeking at A/B tests") use it: the
  likelihood of the difference, averaged over N(0, `MIXTURE_SD`^2), over that of none. Under no difference the chance
  that it *ever* comes to 1 / alpha is at most alpha (Ville's inequality). With an estimated variance it is about so
  (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "Time-uniform central limit theory and asymptotic confidence
  sequences"); how well, `make bench ARGS=canary` shows.
- **Clusters**: callers are hashed into buckets, and the variance of a rate is taken from how buckets differ (the ratio
  estimator's; Cochran 1977, "Sampling Techniques", section 6), which needs no model of what callers have in common.
- **Few who matter**: of callers who send the most one arm may have one that outweighs all others, and the other none.
  So none weighs more than a tenth of its arm (`MIN_CLUSTERS`, `unlikeness`), and the squares that make the smaller
  arm's variance are no less than its share of the greater's.
- **Few clusters, or few failures**: such a variance can come out too small by chance. So it isn't taken for less than a
  binomial one times the design effect (Kish 1965) of both arms together; and since it is an estimate, the statistic is
  Student's t with the degrees of freedom of Welch (1947) and Satterthwaite (1946) over Kish's effective number of
  clusters, put on the normal scale by Wallace's formula (1959, "Bounds on normal approximations to Student's and the
  chi-square distributions").
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

MIXTURE_SD = 0.05
"""Differences of about this size, 5 points, are found soonest; the choice matters little.

In simulation, 5 points more take a median of 11 minutes at 5 requests/s, of which a tenth is the canary's, and 14 with
0.02, 19 with 0.01; 1 point more at 50 requests/s takes 12, and 10 with either. False alarms get rarer as this grows.
"""

MIN_CLUSTERS = 10
"""No bucket weighs more than one of so many equal ones: one caller who sends most would else be all that is seen."""

REFERENCE = 0.9
"""Nine of ten buckets of stable's fail no oftener than what the rest is held against where some is left out."""

MAX_EXPONENT = 700.0
"""The greatest power of e that fits a float."""


class Bucket(NamedTuple):
    """Requests of one cluster, and how many of them were bad; no whole numbers where it is scaled down."""

    n: float
    bad: float


class Arm(NamedTuple):
    """An arm's requests, their rate of bad ones (a share of 1), its variance, and the degrees of freedom of that."""

    n: float
    rate: float
    variance: float
    freedom: float


class Interval(NamedTuple):
    """From `low` to `high`."""

    low: float
    high: float


def rate_of(buckets: Sequence[Bucket]) -> float:
    """Give which share of an arm's requests was bad, 0 of none."""
    return _add_up(buckets).rate


def estimate_arms(stable: Sequence[Bucket], canary: Sequence[Bucket], odds: float | None = None) -> tuple[Arm, Arm]:
    """Give both arms' estimates, stable's first. An arm without requests has the rate 0 and an endless variance.

    `odds`: how many callers are on canary for each on stable, None where that isn't known. No bucket weighs more than
    one in `MIN_CLUSTERS`, so rates may be others than of all requests alike (`rate_of`).
    """
    one, other = _add_up(_even_out(stable)), _add_up(_even_out(canary))
    variance = _request_variance(one, other)
    if odds and odds <= 1:
        other = _at_least(other, one.between * odds)
    elif odds:
        one = _at_least(one, other.between / odds)
    return _estimate(one, variance), _estimate(other, variance)


def unlikeness(stable: Sequence[Bucket], canary: Sequence[Bucket]) -> float:
    """Give how much more of the canary's requests may be bad for no other reason than whose weight was scaled down.

    Callers of little may fail oftener than those of much, and stable's buckets hold some of each. So where a share of
    canary's weight is left out, as much of it is compared with the worst of stable's buckets, not with their mean.
    """
    requests = sum([n for n, _ in canary])
    if not (requests and stable):
        return 0.0
    left_out = 1 - sum([n for n, _ in _even_out(canary)]) / requests
    rates = sorted([bad / n for n, bad in stable if n])
    reference = rates[min(int(len(rates) * REFERENCE), len(rates) - 1)] if rates else 0.0
    return max(left_out * (reference - rate_of(stable)), 0.0)


def e_value(stable: Arm, canary: Arm, allowed: float = 0.0) -> float:
    """Give the evidence that canary's rate is over stable's by more than `allowed`: 1 / alpha or more is a finding.

    It tells of a difference in either direction; whoever asks for one alone looks where it points, and is alarmed
    falsely half as often.
    """
    variance = stable.variance + canary.variance
    if not math.isfinite(variance):
        return 1.0
    odds = MIXTURE_SD**2 / variance
    score = _normal_score((canary.rate - stable.rate - allowed) / math.sqrt(variance), _freedom(stable, canary))
    return math.exp(min(score**2 / 2 * odds / (1 + odds), MAX_EXPONENT)) / math.sqrt(1 + odds)


def confidence_interval(stable: Arm, canary: Arm, alpha: float) -> Interval:
    """Give where canary's rate less stable's lies, at all times at once with a chance of 1 - `alpha`: within -1 and 1.

    It leaves out just those differences for which `e_value`, with them as `allowed`, is over 1 / `alpha`.
    """
    half = _half_width(stable.variance + canary.variance, _freedom(stable, canary), alpha)
    difference = canary.rate - stable.rate
    return Interval(max(difference - half, -1.0), min(difference + half, 1.0))


def confidence_interval_of_arm(arm: Arm, alpha: float) -> Interval:
    """Give where an arm's rate lies, at all times at once with a chance of 1 - `alpha`: within 0 and 1."""
    half = _half_width(arm.variance, arm.freedom, alpha)
    return Interval(max(arm.rate - half, 0.0), min(arm.rate + half, 1.0))


def estimated_subjects(non_empty: int, total: int) -> int:
    """Give about how many subjects were hashed into `total` buckets of which so many aren't empty.

    Linear counting (Whang, Vander-Zanden and Taylor 1990). Where all are full it can't tell, and half an empty one is
    taken: 709 for 128 buckets.
    """
    empty = max(total - non_empty, 0.5)
    return round(total * math.log(total / empty))


def _even_out(buckets: Sequence[Bucket]) -> Sequence[Bucket]:
    """Scale greater buckets down, so that none is over a tenth of what that leaves; of ten or fewer all to one size."""
    sizes = sorted([n for n, _ in buckets if n], reverse=True)
    rest = sum(sizes)
    limit = math.inf
    for place, size in enumerate(sizes[: MIN_CLUSTERS - 1]):
        if size * (MIN_CLUSTERS - place) <= rest:
            break
        rest -= size
        limit = rest / (MIN_CLUSTERS - place - 1)
    limit = max(limit, sizes[-1]) if sizes else limit
    return [Bucket(limit, bad / n * limit) if n > limit else Bucket(n, bad) for n, bad in buckets]


class _Sums(NamedTuple):
    """Of an arm's buckets. `between`: the squares of what is bad in each beyond its share.

    `clusters`: how many buckets of one size would tell as much (Kish 1965), fewer where few callers send the most.
    """

    n: float
    bad: float
    between: float
    clusters: float

    @property
    def rate(self) -> float:
        return self.bad / self.n if self.n else 0.0


def _at_least(sums: _Sums, between: float) -> _Sums:
    """Let the smaller arm's callers differ no less than the greater's: the few who matter may all be on that one."""
    return sums._replace(between=max(sums.between, between))


def _add_up(buckets: Sequence[Bucket]) -> _Sums:
    requests = sum([n for n, _ in buckets])
    if not requests:
        return _Sums(0, 0, 0.0, 1.0)
    bad = sum([bad for _, bad in buckets])
    rate = bad / requests
    between = sum([(bad - rate * n) ** 2 for n, bad in buckets])
    return _Sums(requests, bad, between, requests**2 / sum([n * n for n, _ in buckets]))


def _request_variance(stable: _Sums, canary: _Sums) -> float:
    """Give the variance of one request in either arm, if they are alike: binomial, times the design effect."""
    requests = stable.n + canary.n
    rate = (stable.bad + canary.bad + 1) / (requests + 2)
    return max(rate * (1 - rate), (stable.between + canary.between) / max(requests, 1))


def _estimate(sums: _Sums, request_variance: float) -> Arm:
    if not sums.n:
        return Arm(0, 0.0, math.inf, 1.0)
    freedom = max(sums.clusters - 1, 1.0)
    between = sums.between * sums.clusters / freedom / sums.n**2
    return Arm(sums.n, sums.rate, max(between, request_variance / sums.n), freedom)


def _freedom(stable: Arm, canary: Arm) -> float:
    variance = stable.variance + canary.variance
    if not math.isfinite(variance):
        return 1.0
    return variance**2 / (stable.variance**2 / stable.freedom + canary.variance**2 / canary.freedom)


def _normal_score(t: float, freedom: float) -> float:
    """Give the normal deviate as rare as Student's `t` (Wallace 1959), without its sign."""
    return _wallace(freedom) * math.sqrt(freedom * math.log1p(t**2 / freedom))


def _half_width(variance: float, freedom: float, alpha: float) -> float:
    if not math.isfinite(variance):
        return math.inf
    odds = MIXTURE_SD**2 / variance
    score = math.sqrt(2 * (1 + odds) / odds * math.log(math.sqrt(1 + odds) / alpha))
    exponent = min((score / _wallace(freedom)) ** 2 / freedom, MAX_EXPONENT)
    return math.sqrt(variance * freedom * math.expm1(exponent))


def _wallace(freedom: float) -> float:
    return (8 * freedom + 1) / (8 * freedom + 3)
