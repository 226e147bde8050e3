"""What lies on this machine: listing, verifying and importing data sets."""

import hashlib
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np

from lenette.data import idx, tables
from lenette.data.catalogue import DATASETS, Entry, File, published
from lenette.data.checking import checked_by, hash_file, is_gzip, read_checked
from lenette.data.loading import ways_out
from lenette.data.mirrors import check_archive, extract, settle
from lenette.data.places import candidates, find, locate, user_folder
from lenette.errors import DataError
from lenette.files import replacing


def list_datasets(folder: str | Path | None = None) -> list[dict[str, Any]]:
    """Return a dict for each known data set: name, description, classes, sizes (images a part), licence, attribution,
    folder.

    "folder" is where `load` would read its training part, as a string, "embedded", or None where it is missing.
    """
    rows = []
    for entry in DATASETS.values():
        place = find(entry.name, "train", folder) if entry.parts else "embedded"
        rows.append(
            {
                "name": entry.name,
                "description": entry.description,
                "classes": list(entry.classes),
                "sizes": dict(entry.sizes),
                "licence": entry.licence,
                "attribution": entry.attribution,
                "folder": None if place is None else str(place),
            }
        )
    return rows


def verify(name: str, folder: str | Path | None = None) -> list[dict[str, Any]]:
    """Check each file of a data set where `load` would take it from, and return a dict for each.

    The keys are file, path (None where missing), status ("ok", "missing" or "mismatch"), checked_by (see
    `checking.checked_by`), sha256 (of the file as it lies) and fault (what is amiss, or None).
    """
    entry = published(name)
    return [_verify_file(entry, file, folder) for file in entry.files]


def _verify_file(entry: Entry, file: File, folder: str | Path | None) -> dict[str, Any]:
    parts = [part for part, files in entry.parts.items() if file in (files.images, files.labels)]
    whole = [place for part in parts if (place := find(entry.name, part, folder))]
    path = next((path for place in (*whole, *candidates(entry, folder)) if (path := locate(file, place))), None)
    if path is None:
        return {"file": file.name, "path": None, "status": "missing", "checked_by": None, "sha256": None, "fault": None}
    try:
        read_checked(path, file)
        fault = None
    except DataError as error:
        fault = str(error)
    return {
        "file": file.name,
        "path": str(path),
        "status": "mismatch" if fault else "ok",
        "checked_by": checked_by(path, file),
        "sha256": hash_file(path),
        "fault": fault,
    }


def import_folder(name: str, source: str | Path, folder: str | Path | None = None) -> Path:
    """Copy a data set's files from `source`, a folder or EMNIST's zip, below `folder` or the user's own; return where.

    They may be plain or gzip, and lie in `source` itself or in a folder of it that lenette or torchvision would make.
    Every file is checked before it takes its place. Raises DataError where one is missing or not the published one.
    """
    entry, source = published(name), Path(source).expanduser()
    target = (user_folder() if folder is None else Path(folder).expanduser()) / entry.folders[0]
    if not source.exists():
        raise DataError(f"{source}: no such folder")
    places = [place for place in (source, *candidates(entry, source)) if place.is_dir()]
    try:
        archive = _find_archive(entry, source, places)
        if archive is not None and entry.archive is not None:
            check_archive(archive, entry.archive)
            extract(archive, entry.archive, entry.files, target)
            return target
        found = {file: next((path for place in places if (path := locate(file, place))), None) for file in entry.files}
        if not any(found.values()) and tables.is_table(source):
            _convert(entry, source, target)
            return target
        if missing := [file.name for file, path in found.items() if path is None]:
            raise DataError(f"{source}: doesn't hold {', '.join(missing)} of '{name}', plain or .gz. {ways_out(entry)}")
        for file, path in found.items():
            if path is not None:
                _import_file(file, path, target)
    except OSError as error:
        raise DataError(f"{error.filename or target}: can't be copied ({error.strerror})") from error
    return target


def _find_archive(entry: Entry, source: Path, places: list[Path]) -> Path | None:
    if source.is_file():
        if entry.archive is not None:
            return source
        if not source.name.lower().endswith(tables.SUFFIXES):
            raise DataError(f"{source}: '{entry.name}' is imported from a folder, or from a table")
        return None
    if entry.archive is None or any(locate(entry.files[0], place) for place in places):
        return None
    return next((path for place in places if (path := place / entry.archive.name).is_file()), None)


def _convert(entry: Entry, source: Path, target: Path) -> None:
    """Write the set's IDX files from tables, as Keras or Hugging Face keep it, that hold the very same images."""
    rows = tables.read(source)
    contents: dict[File, bytes] = {}
    for part, files in entry.parts.items():
        held = rows.get(part)
        number = 0 if held is None else len(held.images)
        if held is None or held.labels is None or held.labels.dtype.kind != "i" or number != entry.sizes[part]:
            raise DataError(
                f"{source}: {number:,} labelled images of its {part} part, where '{entry.name}' has "
                f"{entry.sizes[part]:,}. As a data set of your own they can be trained on: --dataset {source}"
            )
        for file, array in ((files.images, held.images[:, 0]), (files.labels, held.labels.astype(np.uint8))):
            contents[file] = idx.encode(array)
            if hashlib.sha256(contents[file]).hexdigest() != file.sha256:
                raise DataError(
                    f"{source}: its {part} part can't be told to be that of '{entry.name}': "
                    f"other images, another order, or no digest is known. Name it as your own: --dataset {source}"
                )
    for file, content in contents.items():
        with replacing(target / file.name) as temporary:
            temporary.write_bytes(content)
        settle(file, target / file.name)


def _import_file(file: File, path: Path, target: Path) -> None:
    suffix = ".gz" if is_gzip(path) else ""
    with replacing(target / f"{file.name}{suffix}") as temporary:
        copyfile(path, temporary)
        try:
            read_checked(temporary, file)
        except DataError as error:
            raise DataError(str(error).replace(str(temporary), str(path))) from error
    settle(file, target / f"{file.name}{suffix}")
