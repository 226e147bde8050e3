"""fetch: data sets from their mirrors, distrusting every one of them."""

import time
import urllib.request
import zipfile
from collections.abc import Callable, Generator
from contextlib import closing
from http.client import HTTPException
from pathlib import Path
from shutil import copyfileobj
from typing import Any
from urllib.error import HTTPError, URLError

from lenette.data.catalogue import Archive, Entry, File, published
from lenette.data.checking import hash_file, read_checked
from lenette.data.idx import MAX_BYTES
from lenette.data.loading import ways_out
from lenette.data.places import forms, locate, user_folder
from lenette.errors import DataError
from lenette.files import replacing

CHUNK_BYTES = 2**18
# A connection that brings less than this in TIMEOUT_SECONDS counts as stalled: a silent one, and one that drips.
TIMEOUT_SECONDS = 20.0
SLOWEST_BYTES = 20 * 1024

Progress = Callable[[dict[str, Any]], None]


def fetch(name: str, folder: str | Path | None = None, progress: Progress | None = None) -> Path:
    """Download what is missing of a data set and return the folder that holds it, below `folder` or the user's own.

    Each file is tried at each mirror in turn, checked by its digest, and put in its place in one step. `progress`
    receives a dict with "file", "url", "bytes" (so far) and "total" (or None) a chunk. Raises DataError, which lists
    every mirror with its fault, where none served.
    """
    entry = published(name)
    mirrors = list(entry.mirrors)
    target = (user_folder() if folder is None else Path(folder).expanduser()) / entry.folders[0]
    try:
        if entry.archive is None:
            for file in entry.files:
                _fetch_file(entry, file, target / f"{file.name}.gz", mirrors, progress)
        else:
            _fetch_archive(entry, entry.archive, target, mirrors, progress)
    except OSError as error:
        raise DataError(f"{target}: can't be written ({error.strerror})") from error
    return target


def check_archive(path: Path, archive: Archive) -> None:
    """Raise DataError where the zip at `path` isn't the published one."""
    if (found := hash_file(path)) != archive.sha256:
        raise DataError(f"{path}: its sha256 is {found}, and should be {archive.sha256}")


def extract(path: Path, archive: Archive, files: tuple[File, ...], target: Path) -> None:
    """Copy `files` out of the zip at `path` into `target`, each checked and put in its place in one step."""
    try:
        with zipfile.ZipFile(path) as zipped:
            for file in files:
                with (
                    replacing(target / f"{file.name}.gz") as temporary,
                    zipped.open(f"{archive.prefix}{file.name}.gz") as member,
                    temporary.open("wb") as out,
                ):
                    copyfileobj(member, out, CHUNK_BYTES)
                    out.flush()
                    read_checked(temporary, file)
                settle(file, target / f"{file.name}.gz")
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise DataError(f"{path}: not the archive that it should be ({error})") from error


def settle(file: File, path: Path) -> None:
    """Remove the other forms of `file` beside `path`, which has just taken its place: they were found to be wrong."""
    for form in forms(file, path.parent):
        if form != path:
            form.unlink(missing_ok=True)


def holds(folder: Path, file: File) -> bool:
    """Tell whether `file` lies in `folder` already, whole and right."""
    path = locate(file, folder)
    try:
        return path is not None and read_checked(path, file) is not None
    except DataError:
        return False


def _fetch_file(entry: Entry, file: File, target: Path, mirrors: list[str], progress: Progress | None) -> None:
    def check(path: Path) -> None:
        read_checked(path, file)

    if not holds(target.parent, file):
        _from_mirrors(entry, target, check, mirrors, progress)
        settle(file, target)


def _fetch_archive(entry: Entry, archive: Archive, target: Path, mirrors: list[str], progress: Progress | None) -> None:
    """Fetch the archive, which stays for the other splits, and extract the files of this one."""

    def check(path: Path) -> None:
        check_archive(path, archive)

    if all(holds(target, file) for file in entry.files):
        return
    path = target / archive.name
    if not path.is_file() or hash_file(path) != archive.sha256:
        _from_mirrors(entry, path, check, mirrors, progress)
    extract(path, archive, entry.files, target)


def _from_mirrors(
    entry: Entry, target: Path, check: Callable[[Path], None], mirrors: list[str], progress: Progress | None
) -> None:
    """Put what the first good one of `mirrors` sends at `target`, and that mirror at the head of the list."""
    _sweep(target)
    faults = []
    for mirror in list(mirrors):
        url = f"{mirror}{target.name}"
        try:
            with replacing(target) as temporary:
                _download(url, temporary, progress)
                try:
                    check(temporary)
                except DataError as error:
                    fault = _looks_like_html(temporary) or str(error).replace(str(temporary), "what it sent")
                    raise DataError(fault) from error
        except DataError as error:
            faults.append(f"{url}: {error}")
        else:
            mirrors.remove(mirror)
            mirrors.insert(0, mirror)
            return
    listed = "\n  ".join(faults)
    raise DataError(f"data set '{entry.name}': no mirror served {target.name}.\n  {listed}\n{ways_out(entry)}")


def _sweep(target: Path) -> None:
    """Remove what killed downloads of `target` left behind: temporary files that nobody has written to for an hour."""
    for left in target.parent.glob(f".{target.name}.*"):
        if time.time() - left.stat().st_mtime > 3600:
            left.unlink(missing_ok=True)


def _looks_like_html(path: Path) -> str | None:
    with path.open("rb") as stream:
        start = stream.read(512).lstrip().lower()
    return "sent a web page in place of the file" if start.startswith((b"<!doctype", b"<html")) else None


def _download(url: str, target: Path, progress: Progress | None) -> None:
    """Stream `url` into `target`; raises DataError where it fails, stalls, ends early or doesn't end."""
    done = 0
    with target.open("wb") as out, closing(_chunks(url)) as chunks:
        for chunk, total in chunks:
            out.write(chunk)
            done += len(chunk)
            if done > MAX_BYTES:
                raise DataError(f"too long: more than {MAX_BYTES:,} bytes")
            if progress is not None:
                progress({"file": url.rsplit("/", 1)[-1], "url": url, "bytes": done, "total": total})


def _chunks(url: str) -> Generator[tuple[bytes, int | None], None, None]:
    """Yield the body of `url` piece by piece, each with the length that the body is said to have, or None."""
    request = urllib.request.Request(url, headers={"User-Agent": "lenette"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() else None
            if total is not None and total > MAX_BYTES:
                raise DataError(f"too long: it announces {total:,} bytes")
            done, window_start, window_bytes = 0, time.monotonic(), 0
            while chunk := response.read1(CHUNK_BYTES):
                yield chunk, total
                done += len(chunk)
                window_bytes += len(chunk)
                if time.monotonic() - window_start > TIMEOUT_SECONDS:
                    if window_bytes < SLOWEST_BYTES:
                        raise DataError(f"stalled: {window_bytes:,} bytes in {TIMEOUT_SECONDS:g} seconds")
                    window_start, window_bytes = time.monotonic(), 0
            if total is not None and done < total:
                raise DataError(f"truncated: {done:,} of {total:,} bytes came")
    except HTTPError as error:
        error.close()
        raise DataError(f"answered {error.code} {error.reason}") from error
    except TimeoutError as error:
        raise DataError(f"stalled: nothing came for {TIMEOUT_SECONDS:g} seconds") from error
    except URLError as error:
        raise DataError(f"can't be reached ({error.reason})") from error
    except (OSError, HTTPException) as error:
        raise DataError(f"the connection broke ({str(error) or type(error).__name__})") from error
