"""Entries of archives, found again from a small index."""

import io
import re
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.readers.files import ZipFiles, natural_key
from core.data.readers.zip_index import ZipIndex

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=12)
SIMPLE = st.text("ab/_.0123456789", min_size=1, max_size=12)


@given(st.dictionaries(NAMES, st.binary(max_size=200), max_size=8), st.booleans())
def test_every_entry_is_opened_as_by_zipfile_itself(entries: dict[str, bytes], packs: bool) -> None:
    buffer = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if packs else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("folder/", b"")
        for name, data in entries.items():
            archive.writestr(name, data)
    with zipfile.ZipFile(buffer) as archive:
        index = ZipIndex(archive.infolist())
        assert set(index) == entries.keys()
        assert {n: archive.read(index[n]) for n in index} == entries


def test_a_damaged_entry_is_noticed_by_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"some bytes")
    path.write_bytes(path.read_bytes().replace(b"some bytes", b"same bytes"))
    files = ZipFiles(path, "a.zip")
    with pytest.raises(Exception, match="CRC"):
        files.read("a", 100)
    files.close()


@given(SIMPLE, SIMPLE)
def test_numbers_in_names_are_ordered_by_value(a: str, b: str) -> None:
    def parts(name: str) -> list[tuple[int, int, str]]:
        found = re.findall(r"[0-9]+|[^0-9]", name)
        return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in found]

    assert (natural_key(a) < natural_key(b)) == (parts(a) < parts(b))
