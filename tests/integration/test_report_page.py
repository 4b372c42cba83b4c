"""The page of a validation, opened in a real browser that has no network."""

from __future__ import annotations

import base64
import json
import struct
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.settings import load_settings
from cotai_tasks.validate.reports.page import page
from tests.unit.validate.reports.samples import made, with_history

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cotai_tasks.engine import Engine

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
BROWSER = Path(__file__).parent / "browser"
LIMITS = (
    *(
        "--network",
        "none",
        "--read-only",
        "--tmpfs",
        "/tmp",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
    ),
    *("--memory", "1g", "--pids-limit", "300", "--pull", "never", "--log-driver", "none"),
)
WIDE, PHONE = {"width": 1280, "height": 900, "scheme": "light"}, {"width": 390, "height": 844, "scheme": "dark"}
SHOWN = "[...document.querySelectorAll('tr.check')].filter(one => one.checkVisibility()).map(one => one.id)"
GROUPS = "[...document.querySelectorAll('table.group')].filter(one => one.checkVisibility()).map(one => one.id)"
BACKGROUND = "getComputedStyle(document.body).backgroundColor"
CONTRASTS = """
(() => {
  const part = value => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const behind = one => { for (; one; one = one.parentElement) {
    const colour = numbers(getComputedStyle(one).backgroundColor);
    if (colour.length < 4 || colour[3]) return colour;
  } };
  const found = [];
  for (const one of document.querySelectorAll("body *")) {
    const own = [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!own || !one.checkVisibility() || one.closest("svg, :disabled, label:has(:disabled)")) continue;
    const [a, b] = [light(numbers(getComputedStyle(one).color)), light(behind(one))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found.push(`${one.tagName}.${one.className}: ${one.textContent.trim().slice(0, 30)}`);
  }
  return found;
})()
"""
"""Every text that is harder to read than WCAG's AA allows."""


@pytest.fixture(scope="module")
def browser(engine: Engine) -> Iterator[str]:
    """Build the image of the browser: its packages come from Debian once, and then from the cache."""
    settings = load_settings(ROOT, "dev", environ={})
    names = [images["PYTHON_IMAGE"] for images in (settings.upstream_images, settings.offline_images)]
    there = engine.images(*names)
    if not there:
        pytest.skip("no image with Python is here: inv build.offline makes one")
    tag = f"cotai-test-{uuid.uuid4().hex[:6]}/browser"
    argument = f"PYTHON_IMAGE={next(iter(there))}"
    list(engine.build(["build", "--build-arg", argument, "--tag", tag, "--load", "."], {}, BROWSER))
    yield tag
    engine.remove_images([tag])


def look(engine: Engine, browser: str, document: dict[str, Any], *wishes: dict[str, Any]) -> list[dict[str, Any]]:
    """Open the document's page as often as there are wishes, and give what was seen each time."""
    command = ("run", "--rm", "--interactive", *LIMITS, browser)
    with engine.pipe(*command, what="the browser", patience=120) as running:
        running.write(json.dumps({"page": page(document), "wishes": wishes}).encode())
        told = running.finish()
    seen: list[dict[str, Any]] = json.loads(told)
    return seen


def test_nothing_from_outside_and_no_complaint(engine: Engine, browser: str) -> None:
    """A run with a past, a first one and an empty one: only the page itself is asked for, and the console is silent."""
    for document in (with_history(), made(), made([])):
        for one in look(engine, browser, document, WIDE, PHONE):
            assert [address.rpartition("/")[2] for address in one["requests"]] == ["report.html"]
            assert one["complaints"] == []


def test_a_page_that_asks_for_more_is_seen(engine: Engine, browser: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the other tests trust: a request, a script's words and what the policy forbids do not go unseen."""
    text = page(made())
    bad = '<img src="https://example.org/x.png"><script>console.log("here")</script></body>'
    strict = text.replace("</body>", bad)
    loose = strict.replace("default-src 'none'", "default-src * 'unsafe-inline'").replace("img-src data:", "img-src *")
    for broken, complaint in ((strict, "Content Security Policy"), (loose, "here")):
        monkeypatch.setattr("tests.integration.test_report_page.page", lambda _, broken=broken: broken)
        (seen,) = look(engine, browser, made(), WIDE)
        assert complaint in str(seen["complaints"])
    assert "https://example.org/x.png" in seen["requests"]


def test_the_filter_needs_no_script(engine: Engine, browser: str) -> None:
    """A click on a state leaves its checks and the groups that have some; what has no check cannot be chosen."""
    document = with_history()
    states = {one["id"]: one["state"] for one in document["checks"]}
    clicks = [f"document.querySelector('#show-{state}').closest('label').click()" for state in ("fail", "skip", "all")]
    run = [SHOWN, clicks[0], SHOWN, GROUPS, clicks[1], SHOWN, clicks[2], SHOWN]
    (seen,) = look(engine, browser, document, WIDE | {"run": run})
    every, _, failed, groups, _, skipped, _, again = seen["values"]
    assert every == again == list(states)
    assert failed == [name for name, state in states.items() if state == "fail"]
    assert groups == ["HLT", "NET", "SEC"]
    assert skipped == ["SEC-09"]
    (seen,) = look(engine, browser, made([]), WIDE | {"run": ["document.querySelectorAll('input:disabled').length"]})
    assert seen["values"] == [5]


def test_every_drawing_is_there(engine: Engine, browser: str) -> None:
    """Each of them has a size, in a wide window and on a phone, where nothing is wider than the screen."""
    kinds = ("percentiles", "bar", "network", "trend", "proportions", "spark")
    boxes = "[...document.querySelectorAll('svg.{}')].map(one => one.getBoundingClientRect())"
    run = [boxes.format(kind) + ".filter(one => one.width > 20 && one.height > 4).length" for kind in kinds]
    wide, phone = look(
        engine,
        browser,
        with_history(),
        WIDE | {"run": run},
        PHONE | {"run": [*run, "document.documentElement.scrollWidth"]},
    )
    assert wide["values"] == [2, 3, 1, 1, 1, 6]
    assert phone["values"] == [*wide["values"], 390]


def test_every_text_can_be_read_in_light_and_dark(engine: Engine, browser: str) -> None:
    """The colours follow the reader's wish, with a contrast of 4.5 at least; the pictures are not empty."""
    looks = [
        one | {"run": [BACKGROUND, CONTRASTS], "picture": "screen"} for one in (WIDE, WIDE | {"scheme": "dark"}, PHONE)
    ]
    light, dark, phone = look(engine, browser, with_history(), *looks)
    assert light["values"][0] != dark["values"][0] == phone["values"][0]
    assert [one["values"][1] for one in (light, dark, phone)] == [[], [], []]
    sizes = [struct.unpack(">II", base64.b64decode(one["picture"])[16:24]) for one in (light, dark, phone)]
    assert sizes == [(1280, 900), (1280, 900), (390, 844)]
    assert all(len(one["picture"]) > 20_000 for one in (light, dark, phone))


def test_a_check_can_be_linked_to(engine: Engine, browser: str) -> None:
    """Each failure stands open at the top, and its id leads to the table and back."""
    run = [
        "document.querySelector('#why-SEC-03 .evidence').innerText.includes('<script>alert(1)</script>')",
        "document.querySelector('.forbidding a').getAttribute('href')",
        "[...document.querySelectorAll('a[href^=\"#\"]')].every(one => document.getElementById(one.hash.slice(1)))",
    ]
    (seen,) = look(engine, browser, with_history(), WIDE | {"run": run})
    assert seen["values"] == [True, "#why-HLT-02", True]
