"""Compiled kernels on disk, from one process to the next.

A file holds a checksum and an object file. The checksum covers the key as well: what is truncated, altered, or
belongs to another kernel, version or processor is not there as far as a reader is concerned. What protects from other
users is the directory, which must be the user's own. Whatever goes wrong, there is no cache, and no error.
"""

import os
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

VARIABLE = "FASTACT_CACHE_DIR"
MAGIC = b"fastact kernel 1\n"
OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def directory(environment: Mapping[str, str]) -> Path | None:
    """Return the directory for compiled kernels, None if there is none that only this user can write to."""
    chosen = environment.get(VARIABLE)
    try:
        # What sets a variable is not always a shell, which knows "~".
        path = Path(chosen).expanduser().absolute() if chosen else default_directory()
    except RuntimeError:
        return None
    if path is None:
        return None
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path if is_ours(path.stat()) else None
    except OSError:
        return None


def default_directory() -> Path | None:
    """Return the user's cache directory. Where nobody knows a home, "~" stays as it is: that is no directory."""
    try:
        from platformdirs import user_cache_path

        path = user_cache_path("fastact", appauthor=False)
    except Exception:  # noqa: BLE001 (platformdirs may be absent or broken)
        return None
    return path if path.is_absolute() else None


def is_ours(status: os.stat_result) -> bool:
    return not hasattr(os, "geteuid") or (status.st_uid == os.geteuid() and not status.st_mode & OTHERS_MAY_WRITE)


def key(*facts: str) -> str:
    """Return what a compiled kernel depends on, in 64 characters."""
    digest = sha256()
    for fact in facts:
        digest.update(len(fact).to_bytes(8, "little") + fact.encode())
    return digest.hexdigest()


def checksum(name: str, key: str, code: bytes) -> bytes:
    return sha256(f"{name}\n{key}\n".encode() + code).digest()


def path_of(directory: Path, name: str, key: str) -> Path:
    return directory / f"{name}-{key[:32]}.o"


def read(directory: Path | None, name: str, key: str) -> bytes | None:
    """Return the code kept under a name and a key, None if there is none or it is not what was written."""
    if directory is None:
        return None
    try:
        with path_of(directory, name, key).open("rb") as file:
            if not is_ours(os.fstat(file.fileno())):
                return None
            content = file.read()
    except OSError:
        return None
    header, code = content[: len(MAGIC) + 32], content[len(MAGIC) + 32 :]
    return code if header == MAGIC + checksum(name, key, code) else None


def write(directory: Path | None, name: str, key: str, code: bytes) -> None:
    """Keep code under a name and a key. Readers see the old file, if any, or all of the new one."""
    if directory is None:
        return
    with suppress(OSError):
        handle, temporary = tempfile.mkstemp(dir=directory, prefix=".", suffix=".tmp")
        try:
            with open(handle, "wb") as file:
                file.write(MAGIC + checksum(name, key, code) + code)
            Path(temporary).replace(path_of(directory, name, key))
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink()
            raise
