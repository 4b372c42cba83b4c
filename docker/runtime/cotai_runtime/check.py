"""Fail a build early and in one line when the module that an image shall run is not in it.

The module is looked for, not imported: importing an application may need its databases and its settings.
"""

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.machinery import PathFinder
from pkgutil import iter_modules


def missing(module: str, search: Sequence[str]) -> str | None:
    """Return why the dotted name `module` cannot be found on the path `search`, or None when it can."""
    path: Sequence[str] | None = search
    done: list[str] = []
    for name in module.split("."):
        if path is None:
            return f"{'.'.join(done)} is a module, not a package"
        found = PathFinder.find_spec(".".join([*done, name]), path)
        if found is None:
            where = f"the package {'.'.join(done)}" if done else "the application"
            near = get_close_matches(name, [m.name for m in iter_modules(list(path))], n=1)
            hint = f"; did you mean {'.'.join([*done, *near])}?" if near else ""
            return f"{where} has no module {name!r}{hint}"
        done.append(name)
        path = found.submodule_search_locations
    return None


def main(variable: str) -> None:
    """Check the module that the environment variable `variable` names as ``package.module:attribute``."""
    value = os.environ.get(variable, "")
    reason = missing(value.partition(":")[0], sys.path) if value else "it is empty"
    if reason:
        sys.exit(f"{variable}={value}: {reason} (set {variable} in the env file to the module to run)")


if __name__ == "__main__":
    main(sys.argv[1])
