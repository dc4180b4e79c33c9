"""The steps of ``action.yml``, run as GitHub would, as far as they are scripts."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))

EXPRESSION = re.compile(r"\$\{\{ *(.*?) *\}\}")


class Job:
    """A job that uses the action, in a checkout.

    Args:
        checkout: where it runs.
        temporary: where the runner keeps things for it.
        context: what is known there, by dotted name, such as ``github.token``.
        variables: of the environment.
        inputs: of the action; others have their defaults.
    """

    def __init__(
        self,
        checkout: Path,
        temporary: Path,
        context: Mapping[str, str],
        variables: Mapping[str, str],
        **inputs: str,
    ) -> None:
        self.checkout, self.temporary = checkout, temporary
        self.context = dict(context)
        for name, declared in ACTION["inputs"].items():
            given = inputs.pop(name, declared["default"])
            self.context[f"inputs.{name}"] = self._filled(given)
        assert not inputs, f"the action has no inputs {[*inputs]}"
        self.variables = {
            **variables,
            "RUNNER_TEMP": str(temporary),
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_STEP_SUMMARY": str(temporary / "summary.md"),
        }
        self.said = ""

    def run(self) -> int:
        """Run the steps; returns the status of the first that failed, or 0."""
        status = 0
        for step in ACTION["runs"]["steps"]:
            condition = step.get("if", "true")
            wanted = self._true(condition) and (status == 0 or "always()" in condition)
            if wanted and "run" in step:
                status = self._step(step) or status
        return status

    def _step(self, step: Mapping[str, Any]) -> int:
        assert step["shell"] == "bash", "an action's steps have no shell of their own"
        output = self.temporary / "output"
        output.write_text("")
        own = {name: self._filled(value) for name, value in step.get("env", {}).items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", self._filled(step["run"])],
            cwd=self.checkout,
            env={**os.environ, **self.variables, **own, "GITHUB_OUTPUT": str(output)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.said += done.stdout
        for line in output.read_text().splitlines():
            name, _, value = line.partition("=")
            self.context[f"steps.{step['id']}.outputs.{name}"] = value
        return done.returncode

    def _filled(self, text: str) -> str:
        return EXPRESSION.sub(lambda found: self.context.get(found[1], ""), text)

    def _true(self, condition: str) -> bool:
        """Of terms that are joined by ``&&``."""
        for term in condition.split(" && "):
            left, _, right = term.partition(" == ")
            value = "yes" if left in ("true", "always()") else self.context.get(left, "")
            if not (value == right.strip("'") if right else value):
                return False
        return True
