"""Lists the files below /volume that somebody may do more with than SPEC["mode"] says."""

import json
import pathlib
import stat

allowed = int(SPEC["mode"], 8)
found = [
    (str(path.relative_to("/volume")), stat.S_IMODE(path.stat().st_mode))
    for path in pathlib.Path("/volume").rglob("*")
    if path.is_file() and not path.is_symlink()
]
wide = [f"{name}: mode {mode:04o}" for name, mode in sorted(found) if mode & ~allowed]
print(json.dumps({"files": len(found), "wide": wide}))
