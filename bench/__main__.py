"""`python -m bench [group...]`: without a group, all of them."""

import argparse
import platform
import sys

from bench import authorizer, cold_start, request
from bench.stage import Stage, UnfitMachineError

GROUPS = {"cold-start": cold_start.run, "request": request.run, "authorizer": authorizer.run}


def main() -> int:
    """Run the groups that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("groups", nargs="*", choices=[[], *GROUPS], metavar="group", help=", ".join(GROUPS))
    groups = parser.parse_args().groups or list(GROUPS)
    try:
        with Stage() as stage:
            print(f"CPython {platform.python_version()}, {platform.machine()}; layer: {stage.layer.origin}")
            for group in groups:
                print()
                GROUPS[group](stage)
    except UnfitMachineError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
