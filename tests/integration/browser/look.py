"""Opens a page in Chromium and tells what happened there: a list of wishes on standard input, JSON on standard output.

Chromium is spoken to through two pipes (its DevTools protocol), so that this works without any network. A wish is
`{"width": 1200, "height": 900, "scheme": "dark", "run": [expressions], "picture": "screen" | "whole" | ""}`; each page
begins anew. The page itself is the first line's `page`, as text.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CHROMIUM = (
    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars", "--remote-debugging-pipe", "about:blank"),
)
PATIENCE = 60.0


class Browser:
    """A running Chromium with one page open."""

    def __init__(self, profile: str) -> None:
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()

        # Chromium reads its orders from descriptor 3 and answers on 4.
        script = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        command = ["bash", "-c", script, "bash", *CHROMIUM, f"--user-data-dir={profile}"]
        self.process = subprocess.Popen(command, pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        self.read, self.write = os.fdopen(ours_in, "rb", 0), os.fdopen(ours_out, "wb", 0)
        self.rest, self.number, self.session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401 - as the protocol has them
        """Send one command and give its answer; what happens meanwhile is kept."""
        self.number += 1
        message: dict[str, Any] = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.write.write(json.dumps(message).encode() + b"\0")
        while True:
            found = self.next()
            if found.get("id") == self.number:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']}")
                return dict(found["result"])
            self.events.append(found)

    def next(self) -> dict[str, Any]:
        """Give the next message."""
        while b"\0" not in self.rest:
            chunk = os.read(self.read.fileno(), 1 << 20)
            if not chunk:
                raise RuntimeError("Chromium has gone")
            self.rest += chunk
        message, _, self.rest = self.rest.partition(b"\0")
        return dict(json.loads(message))

    def wait_for(self, event: str) -> None:
        """Wait until something happens that has not yet."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            found = self.next()
            self.events.append(found)
            if found.get("method") == event:
                return
        raise RuntimeError(f"{event} did not come")

    def look(self, address: str, wish: dict[str, Any]) -> dict[str, Any]:
        """Open a page as somebody wishes, and tell what happened."""
        self.events.clear()
        width, height = wish["width"], wish["height"]
        scale, phone = wish.get("scale", 1), width < 500
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )
        media = [{"name": "prefers-color-scheme", "value": wish["scheme"]}]
        self.ask("Emulation.setEmulatedMedia", media=wish.get("media", ""), features=media)
        self.ask("Page.navigate", url=address)
        self.wait_for("Page.loadEventFired")
        values = [self.evaluate(one) for one in wish.get("run", [])]
        picture = ""
        if wish.get("picture"):
            whole = wish["picture"] == "whole"
            picture = self.ask(
                "Page.captureScreenshot", format="png", captureBeyondViewport=whole, **self.clip(whole=whole)
            )["data"]
        return {"values": values, "picture": picture, "requests": self.requests(), "complaints": self.complaints()}

    def evaluate(self, expression: str) -> Any:  # noqa: ANN401 - what JSON can hold
        """Evaluate an expression in the page."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(f"{expression}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def clip(self, *, whole: bool) -> dict[str, Any]:
        """Say that the whole page is meant, however long it is."""
        if not whole:
            return {}
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}

    def requests(self) -> list[str]:
        """Give the address of everything that the page asked for."""
        sent = [one["params"] for one in self.events if one.get("method") == "Network.requestWillBeSent"]
        return [one["request"]["url"] for one in sent]

    def complaints(self) -> list[str]:
        """Give every line of the console, every exception, and everything that its own policy forbade."""
        told = []
        for one in self.events:
            parameters = one.get("params", {})
            match one.get("method"):
                case "Log.entryAdded":
                    told.append(parameters["entry"]["text"])
                case "Runtime.consoleAPICalled":
                    told.append(str([part.get("value") for part in parameters["args"]]))
                case "Runtime.exceptionThrown":
                    told.append(parameters["exceptionDetails"]["text"])
        return told


def main() -> None:
    given = json.load(sys.stdin)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        page = Path(folder, "report.html")
        page.write_text(given["page"], encoding="utf-8")
        browser = Browser(folder)
        try:
            seen = [browser.look(page.as_uri(), wish) for wish in given["wishes"]]
        finally:
            browser.process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                browser.process.wait(10)
    json.dump(seen, sys.stdout)


main()
