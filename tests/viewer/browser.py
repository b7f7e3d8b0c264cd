"""A real Chromium without a window, spoken to through a pipe in the DevTools protocol.

https://chromedevtools.github.io/devtools-protocol. `BROWSER` is its path, or None where there is none: Debian's `chromium`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import shutil
import signal
import subprocess
import time
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

BROWSER = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
FLAGS = ["--headless", "--no-sandbox", "--remote-debugging-pipe", "--enable-unsafe-swiftshader", "--use-angle=swiftshader",
         "--enable-precise-memory-info", "--no-first-run", "--disable-extensions", "--disable-background-networking",
         "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars", "about:blank"]  # fmt: skip
PATIENCE = 60.0  # seconds


class Browser:
    """One tab. `errors` collects what the pages threw or wrote to the console as errors."""

    def __init__(self, profile: Path, *flags: str):
        assert BROWSER is not None
        ours, theirs = os.pipe(), os.pipe()  # it reads from descriptor 3 and writes to 4

        def wire() -> None:
            reading, writing = (os.dup(end) for end in (ours[0], theirs[1]))
            os.dup2(reading, 3)
            os.dup2(writing, 4)

        command = [BROWSER, f"--user-data-dir={profile}", *flags, *FLAGS]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        preexec_fn=wire, close_fds=False, start_new_session=True)  # fmt: skip
        os.close(ours[0])
        os.close(theirs[1])
        self._to, self._from, self._rest, self._number = ours[1], theirs[0], b"", 0
        self.errors: list[str] = []
        self.at: Path | None = None
        self._events: list[dict[str, Any]] = []
        self._session: str | None = None
        target = next(one for one in self.ask("Target.getTargets")["targetInfos"] if one["type"] == "page")
        self._session = self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def close(self) -> None:
        with contextlib.suppress(AssertionError, BrokenPipeError, subprocess.TimeoutExpired):
            self.ask("Browser.close")
            self.process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._to)
        os.close(self._from)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to one command. Raises AssertionError for a refusal, and after a minute."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        return self._until(lambda said: said.get("id") == self._number)

    def _until(self, wanted: Any) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE
        while True:
            head, found, rest = self._rest.partition(b"\0")
            if not found:
                ready, _, _ = select.select([self._from], [], [], max(0.0, end - time.monotonic()))
                part = os.read(self._from, 1 << 20) if ready else b""
                assert part, "the browser does not answer"
                self._rest += part
                continue
            self._rest, said = rest, json.loads(head)
            if said.get("method") == "Runtime.exceptionThrown":
                details = said["params"]["exceptionDetails"]
                self.errors.append(details.get("exception", {}).get("description", details["text"]))
            elif said.get("method") == "Log.entryAdded" and said["params"]["entry"]["level"] == "error":
                self.errors.append(said["params"]["entry"]["text"])
            elif said.get("method") == "Network.requestWillBeSent":
                self._events.append(said["params"])
            if wanted(said):
                assert "error" not in said, said
                return said.get("result", said)

    def requested(self) -> list[str]:
        """What has been asked for since the last call: addresses."""
        found, self._events = [event["request"]["url"] for event in self._events], []
        return found

    def open(self, page: Path, width: int = 800, height: int = 600, phone: bool = False) -> None:
        """Go to a file and wait until it is drawn."""
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone
        )
        self.ask("Page.navigate", url=page.resolve().as_uri())
        self.run("new Promise((done) => (document.readyState === 'complete' ? done() : addEventListener('load', done)))")
        self.at = page
        self.drawn()

    def run(self, script: str) -> Any:
        """The value of an expression in the page, awaited. Raises AssertionError for what it throws."""
        said = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in said, said["exceptionDetails"].get("exception", said["exceptionDetails"])
        return said["result"].get("value")

    def drawn(self) -> None:
        """Wait until nothing is being loaded, meshed or drawn."""
        self.run("""new Promise((done) => {
            const busy = () => document.querySelector('[aria-busy="true"]');
            const look = () => requestAnimationFrame(() => (busy() ? look() : done()));
            look();
        })""")

    def key(self, key: str, shift: bool = False) -> None:
        """Press and release a key, and wait until what it asks for is drawn."""
        code = {"Enter": 13, "Tab": 9, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, " ": 32}
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        number = {"windowsVirtualKeyCode": code[key]} if key in code else {}
        what = {"key": key, "modifiers": 8 if shift else 0, **number}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **what, **text)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **what)
        self.drawn()

    def screenshot(self) -> Image.Image:
        return Image.open(io.BytesIO(b64decode(self.ask("Page.captureScreenshot", format="png")["data"]))).convert("RGB")

    def picture(self, canvas: str = "picture()") -> np.ndarray[Any, Any]:
        """What the page's own picture shows, or another canvas: (height, width, 3)."""
        data = self.run(f"({canvas}).toDataURL().split(',')[1]")
        return np.asarray(Image.open(io.BytesIO(b64decode(data))).convert("RGB"))

    def heap(self) -> int:
        """Bytes in use of the page's JavaScript, its array buffers with them, after a collection."""
        self.ask("HeapProfiler.collectGarbage")
        found = self.ask("Runtime.getHeapUsage")
        return int(found["usedSize"] + found.get("backingStorageSize", 0))
