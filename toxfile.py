"""tox's environments ``pyXY-torchX.Y`` and ``pyXY-torchX.Y-cuda``, of ``oracles/releases.toml``.

Run as a program it prints those that need no GPU, as JSON, for a workflow.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RELEASES = tomllib.loads(
    (Path(__file__).parent / "oracles" / "releases.toml").read_text(encoding="utf-8")
)["release"]

CHECKERS = ["lint", "types", "docs"]


def environments() -> Iterator[tuple[str, list[str], bool]]:
    """Name, dependencies, and whether plain ``tox`` runs it."""
    for release in RELEASES:
        torch = ".".join(release["torch"].split(".")[:2])
        needs = release.get("needs") or ["-c constraints.txt"]
        for python in release.get("pythons", ["311"]):
            name, deps = f"py{python}-torch{torch}", [f"torch=={release['torch']}", *needs]
            yield name, deps, release["default"]


if __name__ == "__main__":
    print(json.dumps([*CHECKERS, *(name for name, _, _ in environments())]))
else:
    from tox.config.loader.memory import MemoryLoader
    from tox.config.types import EnvList
    from tox.plugin import impl

    @impl
    def tox_extend_envs() -> list[str]:
        """Every release, on the CPU and on a GPU."""
        names = [name for name, _, _ in environments()]
        return [*names, *(f"{name}-cuda" for name in names)]

    @impl
    def tox_add_core_config(core_conf: Any, state: Any) -> None:
        """What plain ``tox`` runs, and what each environment installs."""
        default = [name for name, _, runs in environments() if runs]
        core_conf.loaders.insert(0, MemoryLoader(env_list=EnvList([*CHECKERS, *default])))
        for name, deps, _ in environments():
            for variant in (name, f"{name}-cuda"):
                state.conf.memory_seed_loaders[variant].append(MemoryLoader(deps=deps))
