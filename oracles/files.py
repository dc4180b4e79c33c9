"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

DEVICES = Path("/dev")
"""Where what has a name is no file, even if a link leads from there to one, as stdout may."""


def make_room(path: Path) -> None:
    """Make the folder of a file that is written later, and see that it can be.

    Raises:
        OSError: it is something else than a file, or nothing can be written there.
    """
    tempfile.TemporaryFile(dir=_placed(path).parent).close()


def _placed(path: Path) -> Path:
    """Where a file is to be, in a folder that is there: behind a link, which stays."""
    place = Path(os.path.realpath(path))
    if place.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder, and is to be a file", str(path))
    if path.absolute().parent == DEVICES or (place.exists() and not place.is_file()):
        raise OSError(errno.EINVAL, "is a device or a pipe, and is to be a file", str(path))
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def write(path: Path, data: bytes) -> None:
    """Put a file on disk whole or not at all; its folder is made where there is none.

    Raises:
        OSError: it is something else than a file, or nothing can be written there.
    """
    path = _placed(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)  # mkstemp makes files that only their owner can read
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
