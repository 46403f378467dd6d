"""Whom the guard tells what it did: its log, the metrics that alarms watch, and a topic, if the stack has one.

A message that can't be published changes nothing about the verdict; that it wasn't is a failure of the guard's, with
an alarm of its own.
"""

import json

from sallyport.observability.log import Logger
from sallyport.observability.topic import PublishError, Topic
from sallyport.policy.canary_rules import CANARY, STABLE, CanaryRules, CanaryState
from sallyport.routing.verdict import ADVANCE, PROMOTE, ROLL_BACK, ArmCounts, Measure, Verdict

METRICS = {ROLL_BACK: "CanaryRolledBack", ADVANCE: "CanaryAdvanced", PROMOTE: "CanaryPromoted"}
"""One for each verdict that changes something, of the stack and of each canary."""
RUNS, FAILURE = "CanaryGuardRuns", "CanaryGuardFailure"
_WORDS = {ROLL_BACK: "rolled back", ADVANCE: "advanced", PROMOTE: "promoted"}
_PERCENT = 100
_MAX_SUBJECT_CHARS = 99
"""Of SNS ("Publish", Subject: less than 100)."""


class Announcements:
    """What one guard tells. `topic` None: the stack has none."""

    def __init__(self, logger: Logger, topic: Topic | None, stack: str) -> None:
        self._logger = logger
        self._topic = topic
        self._stack = stack

    def ran(self) -> None:
        """Tell that the guard has come to its end: without it for minutes, an alarm goes off."""
        self._logger.metric(RUNS, 1)

    def failed(self, reason: str, canary: str = "") -> None:
        """Tell that something couldn't be read or written. Weights stay as they are."""
        self._logger.metric(FAILURE, 1)
        self._logger.error("canary guard failed; weights stay as they are", reason=reason, canary=canary or None)

    def weighed(self, canary: str, weight: int) -> None:
        """Tell a canary's weight, given in hundredths of a percent."""
        self._logger.metric("CanaryWeight", weight / _PERCENT, "Percent", Canary=canary)

    def compared(self, canary: str, stable: ArmCounts, other: ArmCounts, verdict: Verdict) -> None:
        """Tell of each arm how many requests it has had in this run, and which share of them failed."""
        errors = verdict.measures[0]
        for arm, counts, rate in ((STABLE, stable, errors.stable_rate), (CANARY, other, errors.canary_rate)):
            dimensions = {"Canary": canary, "Arm": arm}
            self._logger.metric("CanaryStepRequests", counts.requests, **dimensions)
            self._logger.metric("CanaryFailedShare", round(rate * _PERCENT, 3), "Percent", **dimensions)

    def decided(self, rules: CanaryRules, before: CanaryState, after: CanaryState, verdict: Verdict) -> None:
        """Tell a verdict that has been written."""
        name, action = rules.name, verdict.action
        self._logger.metric(METRICS[action], 1)
        self._logger.metric(METRICS[action], 1, Canary=name)
        self._logger.audit(
            "canary verdict",
            canary=name,
            action=action,
            reason=verdict.reason,
            phase=after.phase,
            step_before=before.step,
            step=after.step,
            run=before.run,
            measures=[_in_words(measure) for measure in verdict.measures],
        )
        if self._topic is not None:
            self._publish(self._topic, name, after, verdict)

    def _publish(self, topic: Topic, name: str, after: CanaryState, verdict: Verdict) -> None:
        subject = f"Canary {name} {_WORDS[verdict.action]} in {self._stack}"
        message = {
            "stack": self._stack,
            "canary": name,
            "action": verdict.action,
            "reason": verdict.reason,
            "phase": after.phase,
            "step": after.step,
            "at": after.since_s,
            "measures": [_in_words(measure) for measure in verdict.measures],
        }
        attributes = {"stack": self._stack, "canary": name, "action": verdict.action}
        try:
            topic.publish(subject[:_MAX_SUBJECT_CHARS], json.dumps(message, indent=2), attributes)
        except PublishError as error:
            self._untold(name, str(error))

    def _untold(self, name: str, reason: str) -> None:
        self._logger.metric(FAILURE, 1)
        self._logger.error("the topic couldn't be told of a canary's verdict", reason=reason, canary=name)


def _in_words(measure: Measure) -> str:
    return (
        f"{measure.name} stable {measure.stable_rate:.4f} canary {measure.canary_rate:.4f} "
        f"difference {measure.low:.4f} to {measure.high:.4f} allowed {measure.allowed:.4f} "
        f"e-value {measure.e_value:.4g} of {measure.threshold:.4g}"
    )
