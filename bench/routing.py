"""Routing: what a decision costs, and what a streamed answer loses on the way."""

from bench.routing_decisions import print_decisions
from bench.routing_streams import print_streams
from bench.stage import Stage


def run(stage: Stage) -> None:
    """Measure and print."""
    print_decisions()
    print()
    print_streams(stage)
