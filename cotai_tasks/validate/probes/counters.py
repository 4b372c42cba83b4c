"""Reads metrics SPEC["scrapes"] times from each of SPEC["addresses"], asking SPEC["path"] between, so that they grow.

Gives by address: the status of the last answer, how many counters it has, and those that went down.
"""

import json
import re
import urllib.error
import urllib.request

KIND = re.compile(r"# TYPE (\S+) (counter|histogram|summary)")
SERIES = re.compile(r"([a-zA-Z_:][\w:]*(?:\{[^\n]*\})?) ([-+0-9.eE]+|NaN)")


def get(url):
    """Ask a page for its status and text."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""


def counters(text):
    """Give the values that may only grow, by their series."""
    kinds = dict(KIND.findall(text))
    found = {}
    for line in text.splitlines():
        match = SERIES.fullmatch(line)
        if not match or match[2] == "NaN":
            continue
        name = match[1].partition("{")[0]
        family = re.sub(r"_(bucket|count|sum|total)$", "", name)
        if kinds.get(name) == "counter" or kinds.get(family) == "counter" or name.endswith(("_bucket", "_count")):
            found[match[1]] = float(match[2])
    return found


def watch(address):
    """Scrape one address again and again."""
    before, down, status = {}, {}, 0
    for _ in range(SPEC["scrapes"]):
        get(f"http://{address}{SPEC['path']}")
        status, text = get(f"http://{address}/metrics")
        now = counters(text)
        down |= {name: [before[name], value] for name, value in now.items() if value < before.get(name, value)}
        down |= {name: [value, None] for name, value in before.items() if name not in now}
        before = now
    return {"status": status, "counters": len(before), "down": down}


print(json.dumps({address: watch(address) for address in SPEC["addresses"]}))
