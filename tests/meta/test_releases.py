"""The list of torch's releases is written once; whoever names one names one of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.version import Version

ROOT = Path(__file__).parents[2]
RELEASES = [
    release["torch"]
    for release in tomllib.loads((ROOT / "oracles" / "releases.toml").read_text("utf-8"))["release"]
]
FACTORS = {f"torch{Version(release).major}.{Version(release).minor}" for release in RELEASES}


def test_releases_are_in_order_and_each_has_a_factor_of_its_own() -> None:
    assert sorted(RELEASES, key=Version) == RELEASES
    assert len(FACTORS) == len(RELEASES)


def test_the_workflow_asks_every_release() -> None:
    """Its matrix is what this program prints."""
    program = subprocess.run(
        [sys.executable, "toxfile.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    asked = json.loads(program.stdout)
    each = [f"py311-{factor}" for factor in sorted(FACTORS, key=_number)]
    assert asked[:3] == ["lint", "types", "docs"]
    assert [name for name in asked[3:] if name.startswith("py311")] == each
    assert {name.partition("-")[2] for name in asked[3:]} == FACTORS
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text("utf-8")
    assert "python toxfile.py" in workflow
    assert "env: ${{ fromJSON(needs.environments.outputs.list) }}" in workflow


def _number(factor: str) -> Version:
    return Version(factor.removeprefix("torch"))


@pytest.mark.parametrize(
    "file", ["tox.ini", ".ci/run", ".github/workflows/tests.yml", ".github/workflows/nightly.yml"]
)
def test_who_names_a_release_names_one_of_the_list(file: str) -> None:
    text = (ROOT / file).read_text("utf-8")
    assert set(re.findall(r"torch==([\d.]+)", text)) <= set(RELEASES)
    assert set(re.findall(r"py311-(torch[\d.]+)", text)) <= FACTORS


def test_tox_makes_no_list_of_its_own() -> None:
    text = (ROOT / "tox.ini").read_text("utf-8")
    assert "env_list" not in text
    assert not re.search(r"^ *torch[\d.{]", text, re.MULTILINE)


def test_reports_that_are_kept_are_of_releases_of_the_list_and_small() -> None:
    kept = sorted((ROOT / "reports").glob("*.jsonl.xz"))
    assert {file.name for file in kept} <= {f"torch-{r}.jsonl.xz" for r in RELEASES}
    assert not [file.name for file in kept if file.stat().st_size > 200 * 1024]
    page = (ROOT / "reports" / "VERSIONS.md").read_text("utf-8")
    told = re.search(r"Found by running torch ([\d., ]+), each", page)
    assert told
    assert {f"torch-{r}.jsonl.xz" for r in told[1].split(", ")} == {file.name for file in kept}
