"""Limits: what a request costs, and whether as many get through as should."""

import os

from bench import limits_crowd, limits_work
from tests.support.aws import LOCAL_AWS, Emulator


def run() -> None:
    """Measure and print."""
    limits_work.print_writes()
    print()
    os.environ.update(LOCAL_AWS)  # for boto3
    emulator = Emulator()
    try:
        limits_work.print_cpu(emulator)
        print()
        limits_work.print_items(emulator)
        print()
        limits_crowd.run(emulator)
    finally:
        emulator.close()
