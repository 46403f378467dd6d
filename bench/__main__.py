"""`python -m bench [group...]`: without a group, all of them."""

import argparse
import platform
import sys

from bench import authorizer, canary, cold_start, estimate, limits, request, routing, verification
from bench.stage import Stage, UnfitMachineError

STAGED = {"cold-start": cold_start.run, "request": request.run, "authorizer": authorizer.run, "routing": routing.run}
"""Groups that measure the functions as shipped."""
UNSTAGED = {"limits": limits.run, "estimate": estimate.run, "canary": canary.run, "verification": verification.run}
GROUPS = (*STAGED, *UNSTAGED)


def main() -> int:
    """Run the groups that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("groups", nargs="*", choices=[[], *GROUPS], metavar="group", help=", ".join(GROUPS))
    groups = parser.parse_args().groups or GROUPS
    print(f"CPython {platform.python_version()}, {platform.machine()}")
    try:
        _run_staged([group for group in groups if group in STAGED])
        for group in groups:
            if group in UNSTAGED:
                print()
                UNSTAGED[group]()
    except UnfitMachineError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


def _run_staged(groups: list[str]) -> None:
    if not groups:
        return
    with Stage() as stage:
        print(f"layer: {stage.layer.origin}")
        for group in groups:
            print()
            STAGED[group](stage)


if __name__ == "__main__":
    sys.exit(main())
