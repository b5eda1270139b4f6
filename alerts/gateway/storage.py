"""A snapshot file that is there whole or not at all."""

import os
from pathlib import Path


def save(path: Path, content: bytes) -> None:
    """Write beside, sync, rename, sync the folder; raise OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load(path: Path) -> bytes | None:
    """Return the content, None if there is no file; raise OSError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
