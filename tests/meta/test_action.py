"""The action that guards other repositories, and the workflows: their scripts are run."""

from __future__ import annotations

import os
import subprocess
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.action import ACTION, ROOT, Job

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

PYTHON = """#!/bin/sh
mkdir -p "$3/bin"
cp "{tools}/pip" "{tools}/oracles" "$3/bin"
"""
"""Makes an environment, as ``python -m venv FOLDER`` does."""

ORACLES = """#!/bin/sh
echo "$@" >> "{tools}/asked"
cat "{tools}/markdown"
exit "$(cat "{tools}/status")"
"""

GH = """#!/bin/sh
for last; do :; done
case "$*" in
*--jq*) grep -l "optimizer-oracles" "{tools}"/comments/* | xargs -rn 1 basename ;;
*PATCH*) cp "${{last#body=@}}" "{tools}/comments/$(basename "$5")" ;;
*POST*) cp "${{last#body=@}}" "{tools}/comments/$(date +%s%N)" ;;
esac
"""
"""GitHub's program, with comments in a folder."""

CONTEXT = {
    "github.token": "token",
    "github.repository": "somebody/something",
    "github.event.pull_request": "there is one",
    "github.event.pull_request.number": "7",
}


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """Programs that stand for those of a runner."""
    folder = tmp_path / "tools"
    (folder / "comments").mkdir(parents=True)
    (folder / "comments" / "1").write_text("somebody else's\n")
    scripts = {"python": PYTHON, "oracles": ORACLES, "pip": "#!/bin/sh\n", "gh": GH}
    for name, text in scripts.items():
        (folder / name).write_text(text.format(tools=folder))
        (folder / name).chmod(0o755)
    return folder


def git(*words: str, folder: Path) -> None:
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository whose pull request moves from one torch to another."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    git("init", "--initial-branch", "main", folder=folder)
    pinned = folder / "requirements.txt"
    pinned.write_text("numpy\ntorch==2.13.0  # for now\ntorchvision==0.28\n")
    git("add", ".", folder=folder)
    git("commit", "-m", "a torch", folder=folder)
    git("update-ref", "refs/remotes/origin/main", "HEAD", folder=folder)
    pinned.write_text("numpy\ntorch == 2.15.0\ntorchvision==0.30\n")
    return folder


def job(checkout: Path, tools: Path, **inputs: str) -> Job:
    temporary = tools.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    variables = {"GITHUB_BASE_REF": "main", "PATH": f"{tools}:/usr/bin:/bin"}
    return Job(checkout, temporary, CONTEXT, variables, **inputs)


def told(tools: Path, markdown: str, status: int) -> None:
    (tools / "markdown").write_text(markdown)
    (tools / "status").write_text(str(status))


def comments(tools: Path) -> list[str]:
    return sorted(path.read_text() for path in (tools / "comments").iterdir())


@pytest.mark.parametrize("status", [0, 1])
def test_an_upgrade_is_compared_and_told_in_one_comment(
    status: int, checkout: Path, tools: Path
) -> None:
    """A later run writes the same one anew, and touches nobody else's."""
    for text in ("### first\n", "### second\n"):
        told(tools, text, status)
        ran = job(checkout, tools, requirements="requirements.txt")
        assert ran.run() == status, ran.said
        marked = f"<!-- optimizer-oracles -->\n{text}"
        assert comments(tools) == [marked, "somebody else's\n"]
        assert (ran.temporary / "summary.md").read_text().endswith(text)
    assert {*(tools / "asked").read_text().splitlines()} == {"compare 2.13.0 2.15.0 --markdown"}


def test_a_torch_that_stays_is_not_asked(checkout: Path, tools: Path) -> None:
    (checkout / "requirements.txt").write_text("torch==2.13.0\n")
    ran = job(checkout, tools, requirements="requirements.txt")
    assert ran.run() == 0
    assert "torch stays 2.13.0" in ran.said
    assert not (tools / "asked").exists() and len(comments(tools)) == 1


@pytest.mark.parametrize("inputs", [{}, {"before": "2.13.0"}, {"requirements": "nothing.txt"}])
def test_torches_that_nobody_names_are_missed(
    inputs: dict[str, str], checkout: Path, tools: Path
) -> None:
    (checkout / "nothing.txt").write_text("numpy\n")
    git("add", "nothing.txt", folder=checkout)
    git("commit", "-m", "nothing", folder=checkout)
    git("update-ref", "refs/remotes/origin/main", "HEAD", folder=checkout)
    ran = job(checkout, tools, **inputs)
    assert ran.run() == 2
    assert "two torches are needed" in ran.said
    assert not (tools / "asked").exists()


def test_what_cannot_be_compared_is_told(checkout: Path, tools: Path) -> None:
    told(tools, "", 2)
    ran = job(checkout, tools, before="2.13.0", after="9.9")
    assert ran.run() == 2
    assert "torch 2.13.0 and 9.9 could not be compared\n" in comments(tools)[0]


def test_nobody_is_commented_on_who_does_not_want_it(checkout: Path, tools: Path) -> None:
    told(tools, "### nothing\n", 0)
    assert job(checkout, tools, before="2.13.0", after="2.15.0", comment="false").run() == 0
    assert len(comments(tools)) == 1


def steps(workflow: Any) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_one(path: Path) -> None:
    """Its scripts are bash, and it gives our action nothing that the action does not know."""
    for step in steps(yaml.safe_load(path.read_text(encoding="utf-8"))):
        if step.get("uses") == "./":
            assert {*step["with"]} <= {*ACTION["inputs"]}
        if "run" in step:
            done = subprocess.run(
                ["bash", "-n", "-c", step["run"]], capture_output=True, check=False
            )
            assert not done.returncode, done.stderr


def test_what_fails_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    """What `.ci/run` has started meanwhile is ended, however it ends itself."""
    head, found, _ = (ROOT / ".ci" / "run").read_text().partition("export TMPDIR=")
    script, rooms = tmp_path / "ci" / "run", tmp_path / "rooms"
    for folder in (script.parent, rooms):
        folder.mkdir()
    script.write_text(f"{head}\nsleep 9 > /dev/null 2>&1 &\necho $!\n(false)\n")
    done = subprocess.run(
        ["bash", script],
        env={**os.environ, "TMPDIR": str(rooms)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found and done.returncode == 1
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)
    assert not [*rooms.iterdir()]


def test_what_the_suite_leaves_out_is_asked_on_every_push() -> None:
    (workflow,) = (path for path in WORKFLOWS if path.name == "tests.yml")
    runs = [step.get("run", "") for step in steps(yaml.safe_load(workflow.read_text("utf-8")))]
    assert "tox -e ${{ matrix.env }}" in runs
    tox = ConfigParser(interpolation=None)
    tox.read_string((ROOT / "tox.ini").read_text("utf-8"))
    commands = tox["testenv"]["commands"].strip().splitlines()
    assert len(commands) == 2
    assert all("pytest -m '' " in command for command in commands)


def test_the_guide_shows_a_workflow_that_the_action_understands() -> None:
    text = (ROOT / "docs" / "upgrading.md").read_text(encoding="utf-8")
    shown = text.partition("```yaml\n")[2].partition("```")[0]
    (step,) = (s for s in steps(yaml.safe_load(shown)) if "oracles" in s["uses"])
    assert {*step["with"]} <= {*ACTION["inputs"]}
    assert len(shown.splitlines()) <= 10
