"""A real browser without a window, told what to do over two pipes (Chrome's DevTools protocol).

A package that drives browsers would bring a browser of its own, for six commands.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)

THERE = PROGRAM is not None and shutil.which("bash") is not None
"""Whether there is one here."""

PATIENCE = 120
"""Seconds after which a browser that says nothing is taken for dead."""

OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--remote-debugging-pipe",
)

KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), " ": (32, " "), "ArrowDown": (40, "")}
"""By name, the code of a key, and the text it writes."""


class Browser:
    """One page of a browser.

    Attributes:
        complaints: what was said on its console, and exceptions that nobody caught.
    """

    def __init__(self, commands: int, answers: int) -> None:
        self.commands, self.answers = commands, answers
        self.complaints: list[str] = []
        self.number, self.read, self.session = 0, b"", ""
        self.loaded = False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Have a command carried out; returns what it answers."""
        self.number += 1
        asked = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            asked["sessionId"] = self.session
        os.write(self.commands, json.dumps(asked).encode() + b"\0")
        while True:
            told = self._next()
            if told.get("id") == self.number:
                assert "error" not in told, f"{method}: {told['error']}"
                return told["result"]

    def _next(self) -> Mapping[str, Any]:
        """The next thing it says; what it says unasked is noted."""
        while b"\0" not in self.read:
            ready, _, _ = select.select([self.answers], [], [], PATIENCE)
            assert ready, "the browser says nothing"
            more = os.read(self.answers, 1 << 20)
            assert more, "the browser is gone"
            self.read += more
        line, self.read = self.read.split(b"\0", 1)
        told: Mapping[str, Any] = json.loads(line)
        method = told.get("method", "")
        self.loaded |= method == "Page.loadEventFired"
        if method in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            self.complaints.append(json.dumps(told["params"]))
        return told

    def open(self, address: str) -> None:
        """Go to a page, and wait until it is there."""
        self.loaded = False
        if "loaderId" in self.call("Page.navigate", url=address):  # or it is another part of it
            self.wait()

    def wait(self) -> None:
        """Until a page is loaded that has been asked for."""
        while not self.loaded:
            self._next()

    def evaluate(self, expression: str) -> Any:
        """What JavaScript gives there."""
        found = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        code, text = KEYS[key]
        told = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **told)
        self.call("Input.dispatchKeyEvent", type="keyUp", **told)

    def show(self, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Be a screen of that size."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 700,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, path: Path) -> None:
        """What is to be seen now, as a PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser that keeps what it keeps in a folder, and is ended afterwards."""
    assert PROGRAM is not None
    theirs_in, commands = os.pipe()
    answers, theirs_out = os.pipe()
    lent = [fcntl.fcntl(each, fcntl.F_DUPFD, 10) for each in (theirs_in, theirs_out)]
    redirected = f'exec "$@" 3<&{lent[0]} 4>&{lent[1]}'
    process = subprocess.Popen(
        ["bash", "-c", redirected, "bash", PROGRAM, *OPTIONS, f"--user-data-dir={folder}"],
        pass_fds=lent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for each in (theirs_in, theirs_out, *lent):
        os.close(each)
    try:
        yield Browser(commands, answers)
    finally:
        process.kill()
        process.wait()
        os.close(commands)
        os.close(answers)
