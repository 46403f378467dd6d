"""Prints the unzipped size of everything that `sam build` built: Lambda loads it all on a cold start."""

import sys
from pathlib import Path


def main(build: Path) -> None:
    """Print one line per layer and function of a build directory."""
    for part in sorted(path for path in build.iterdir() if path.is_dir()):
        size_bytes = sum(file.stat().st_size for file in part.rglob("*") if file.is_file())
        print(f"{part.name:26} {size_bytes / 1024:10,.1f} KiB unzipped")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
