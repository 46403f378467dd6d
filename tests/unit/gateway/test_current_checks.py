"""Rules that this version can't read judge nobody: requests get a 503 until it can."""

import pytest

from sallyport.errors import ServiceUnavailableError
from sallyport.gateway.verifying import CurrentChecks
from sallyport.policy.verification_rules import (
    REPORT,
    REQUESTS,
    LeakRules,
    PromptRules,
    RequestRules,
    VerificationRules,
)
from sallyport.verification.schema import RequestSchema

CHAT = "chat_completions"
LEAK = LeakRules("l", ("of_a_newer_version",), (), (), REPORT, (REQUESTS,))
PROMPT = PromptRules("p", ("user",), ("(",), (), (), None, REPORT)


@pytest.mark.parametrize(
    "rules",
    [
        VerificationRules(leaks=(LEAK,)),
        VerificationRules(prompts=(PROMPT,)),
        VerificationRules(requests={CHAT: RequestRules(schemas=({"type": "no"},))}),
    ],
)
def test_rules_that_cant_be_compiled_let_nobody_in(rules: VerificationRules) -> None:
    checks = CurrentChecks(CHAT, RequestSchema.built_in(CHAT))
    for _ in range(2):
        with pytest.raises(ServiceUnavailableError):
            checks.get(rules, "acme")
