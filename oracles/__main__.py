"""``python -m oracles`` is the command ``oracles``."""

from oracles.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
