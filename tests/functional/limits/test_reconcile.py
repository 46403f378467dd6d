"""`sallyport limits reconcile` as an operator uses it."""

import json
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sallyport.limits.rules import Charged, Receipt
from sallyport.policy.limit_rules import LimitRule, Window, rule_name
from sallyport_cli.limits.refunds import Refunder
from sallyport_cli.limits.reservations import read_audit
from tests.functional.limits.conftest import Counting, Run
from tests.support.aws import COUNTERS_TABLE, Emulator

HOUR, DAY = Window(3600), Window(86_400)
LONG_AGO = 1_000_000_000


def rule(unit: str, limit: int, window: Window, *scope: str) -> LimitRule:
    return LimitRule(rule_name(scope, unit, window), scope, unit, limit, window)


TOKENS = rule("tokens", 1000, DAY, "tenant")
USD = rule("usd", 10**12, DAY, "tenant")
KEY_TOKENS = rule("tokens", 1000, HOUR, "key")


def reservation(request_id: str, receipts: Sequence[Receipt], until: float = LONG_AGO) -> str:
    charges = [
        f"{receipt.member} {charge.counter} {charge.unit} {charge.window} {charge.amount}"
        for receipt in receipts
        for charge in receipt.charges
    ]
    line = {"message": "reservation", "request_id": request_id, "tenant": "acme", "until": until, "charges": charges}
    return json.dumps(line) + "\n"


def settlement(request_id: str, *, settled: bool) -> str:
    return json.dumps({"message": "settlement", "request_id": request_id, "settled": settled}) + "\n"


def reserve(counting: Counting, tokens: int = 400) -> tuple[Receipt, ...]:
    narrow = counting.charge("key#k1", [KEY_TOKENS], {"tokens": tokens})
    wide = counting.charge("tenant#acme", [TOKENS, USD], {"tokens": tokens, "usd": 5000})
    return (*narrow.receipts, *wide.receipts)


def current(counting: Counting, member: str, of: LimitRule) -> int:
    return int(counting.item(member)[f"c{of.counter}"])


def reconcile(run: Run, lines: str, *options: str) -> Any:
    return run("limits", "reconcile", "--log-file", "-", *options, stdin=lines)


def test_what_was_never_settled_is_refunded_once(run: Run, counting: Counting) -> None:
    line = reservation("r1", reserve(counting))
    result = reconcile(run, line)
    assert result.stdout == (
        "r1 of acme: refunded 400 tokens to key#k1, 400 tokens to tenant#acme, $0.000005 to tenant#acme\n"
    )
    assert [current(counting, "tenant#acme", TOKENS), current(counting, "tenant#acme", USD)] == [0, 0]
    assert current(counting, "key#k1", KEY_TOKENS) == 0
    reserve(counting)
    assert reconcile(run, line).stdout == "r1 of acme: refunded before\n"
    assert current(counting, "tenant#acme", TOKENS) == 400


def test_what_was_settled_or_may_still_be_is_left_alone(run: Run, counting: Counting) -> None:
    receipts = reserve(counting)
    lines = reservation("r1", receipts) + settlement("r1", settled=True)
    lines += reservation("r2", receipts, until=time.time() - 30) + reservation("r3", receipts)
    lines += settlement("r3", settled=False)
    result = reconcile(run, lines)
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "reservations read: 3",
        "without a settlement but still new: 1",
        "with a settlement that may have been made, left alone: 1",
    ]
    assert current(counting, "tenant#acme", TOKENS) == 400


def test_what_a_failed_settlement_left_is_done(run: Run, counting: Counting) -> None:
    receipts = reserve(counting)
    line = json.loads(settlement("r1", settled=False))
    changes = {"tokens": -300, "usd": 2_000_000}
    line["due"] = [
        f"{receipt.member} {charge.counter} {charge.unit} {charge.window} {changes[charge.unit]}"
        for receipt in receipts
        for charge in receipt.charges
    ]
    result = reconcile(run, reservation("r1", receipts) + json.dumps(line) + "\n")
    assert result.stdout == (
        "r1 of acme: refunded 300 tokens to key#k1, 300 tokens to tenant#acme; added $0.002 to tenant#acme\n"
    )
    assert current(counting, "tenant#acme", TOKENS) == current(counting, "key#k1", KEY_TOKENS) == 100
    assert current(counting, "tenant#acme", USD) == 5000 + 2_000_000


def test_a_log_line_can_t_steer_the_terminal(run: Run, counting: Counting) -> None:
    result = reconcile(run, reservation("\x1b[31mr1\nr2", reserve(counting)))
    assert result.stdout.startswith("?[31mr1?r2 of acme: refunded 400 tokens to key#k1, ")
    assert result.stdout.count("\n") == 1


def test_a_time_beyond_all_numbers_is_passed_over(run: Run) -> None:
    line = '{"message": "reservation", "request_id": "r1", "charges": [], "until": 1' + "0" * 400 + "}\n"
    assert reconcile(run, line).stderr == "reservations read: 0\n"


def test_a_dry_run_writes_nothing(run: Run, counting: Counting) -> None:
    lines = reservation("r1", reserve(counting))
    assert reconcile(run, lines, "--dry-run").stdout.startswith("r1 of acme: would refund 400 tokens to key#k1")
    assert current(counting, "tenant#acme", TOKENS) == 400
    assert "reconciled#r1" not in counting.pks()


def test_the_window_that_was_charged_is_refunded(run: Run, counting: Counting) -> None:
    receipts = reserve(counting)
    counting.now_ms += 3_600_000
    counting.charge("key#k1", [KEY_TOKENS], {"tokens": 1})
    reconcile(run, reservation("r1", receipts))
    item = counting.item("key#k1")
    assert (item[f"c{KEY_TOKENS.counter}"], item[f"p{KEY_TOKENS.counter}"]) == (1, 0)


def test_a_window_that_is_over_needs_no_refund(run: Run, counting: Counting) -> None:
    (receipt,) = counting.charge("key#k1", [KEY_TOKENS], {"tokens": 400}).receipts
    counting.now_ms += 2 * 3_600_000
    counting.charge("key#k1", [KEY_TOKENS], {"tokens": 300})
    gone = Receipt("key#k2", (Charged(KEY_TOKENS.counter, "tokens", 1, 5),))
    lines = reservation("r1", [receipt]) + reservation("r2", [gone])
    assert reconcile(run, lines).stdout == "r1 of acme: counts no longer\nr2 of acme: counts no longer\n"
    assert current(counting, "key#k1", KEY_TOKENS) == 300


def test_a_counter_never_falls_below_nothing(run: Run, counting: Counting) -> None:
    receipts = reserve(counting)
    run("limits", "reset", "--tenant", "acme", "--parameter", "TenantTokensPerMinute=9", "--yes")
    counting.charge("tenant#acme", [TOKENS], {"tokens": 100})
    result = reconcile(run, reservation("r1", receipts))
    assert result.stdout == "r1 of acme: refunded 400 tokens to key#k1, 100 tokens to tenant#acme\n"
    assert current(counting, "tenant#acme", TOKENS) == 0


def test_operators_at_the_same_time_refund_once(counting: Counting, emulator: Emulator) -> None:
    first, second = reserve(counting, 100), reserve(counting, 300)
    (reserved,) = read_audit([reservation("r1", first)]).open(time.time())
    barrier = threading.Barrier(4)

    def refund(_number: int) -> str:
        refunder = Refunder(emulator.dynamodb, COUNTERS_TABLE, time.time(), pause=lambda _: None)
        barrier.wait(timeout=20)
        return refunder.refund(reserved).outcome

    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(refund, range(4)))
    assert outcomes == ["refunded", "refunded before", "refunded before", "refunded before"]
    assert current(counting, "tenant#acme", TOKENS) == 300
    assert len(second) == 2


def test_a_log_file_may_be_missing(run: Run) -> None:
    result = run("limits", "reconcile", "--log-file", "missing")
    assert (result.exit_code, result.stderr) == (1, "Error: missing: No such file or directory\n")
    assert run("limits", "reconcile").exit_code == 2
    assert run("limits", "reconcile", "--since", "yesterday", "--log-file", "-").exit_code == 2
