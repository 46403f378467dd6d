"""`sallyport local` calls functions by the clock while it serves."""

from pathlib import Path

from tests.functional.local.started import running
from tests.functional.local.stub import LAYER, TEMPLATE

CLOCKED = """
  Clocked:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: clock
      Handler: clocked.handler
      Events:
        Minutely: {Type: Schedule, Properties: {Schedule: rate(1 minute)}}
        Never: {Type: Schedule, Properties: {Schedule: rate(1 day), State: DISABLED}}
"""
HANDLER = """
calls = 0

def handler(event, context):
    global calls
    calls += 1
    print(f"call {calls} by {event['source']}")
    if calls == 1:
        raise RuntimeError("not yet")
"""


def test_a_scheduled_function_is_called_again_and_again_whatever_comes_of_it(tmp_path: Path) -> None:
    (tmp_path / "clock").mkdir()
    (tmp_path / "clock" / "clocked.py").write_text(HANDLER)
    template = tmp_path / "clocked.yaml"
    template.write_text(TEMPLATE.replace("LAYER", str(LAYER)) + CLOCKED)
    with running(tmp_path, "--template", str(template), "--schedule-seconds", "0.1", "--verbose") as started:
        started.ready_url()
        started.wait_for("Clocked | call 3 by aws.events")
        assert "schedule   Clocked every 0.1 s (on AWS every minute)\n" in started.printed
        assert "Clocked | failed: " in started.printed
        assert "every 144 s" not in started.printed
