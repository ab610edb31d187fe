"""Archives from strangers."""

import io
import struct
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from core.data.readers import LogError, open_logs
from core.data.readers.archive import BadArchive, Limits, open_archive, printable
from tests.data.makers import log, npz_bytes, npz_zip


def opened(data: bytes, **limits: float) -> zipfile.ZipFile:
    return open_archive(io.BytesIO(data), Limits(**limits))  # type: ignore[arg-type]


def packed(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_a_bomb_is_refused_by_its_ratio() -> None:
    bomb = packed({"a.npz": bytes(4 << 20)})
    with pytest.raises(BadArchive, match="expands 1028 times, more than the 500 allowed"):
        opened(bomb, ratio_free_bytes=1 << 20)


def test_plain_pictures_pass_the_default_limits() -> None:
    with opened(packed({"a.npz": bytes(4 << 20)})) as archive:
        assert archive.namelist() == ["a.npz"]


def test_a_bomb_of_the_default_size_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("a.npz", "w") as entry:
            for _ in range(257):
                entry.write(bytes(1 << 20))
        # Level 1 packs zeros at 230 : 1, so the claim is made larger than the truth.
        archive.infolist()[0].file_size *= 4
    with pytest.raises(LogError, match=r"a\.zip expands"):
        open_logs(tmp_path / "a.zip")


def test_an_archive_with_64_bit_fields_is_read() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for i in range(70_000):
            archive.writestr(zipfile.ZipInfo(str(i)), b"")
    with opened(buffer.getvalue()) as archive:
        assert len(archive.namelist()) == 70_000


def test_too_many_bytes_and_entries_are_refused() -> None:
    with pytest.raises(BadArchive, match="expands to 3000 bytes"):
        opened(packed({"a": bytes(3000)}), expanded_bytes=2999)
    with pytest.raises(BadArchive, match="3 entries, more than the 2 allowed"):
        opened(packed({"a": b"", "b": b"", "c": b""}), entries=2)


def test_a_claim_of_a_million_entries_is_refused_unread() -> None:
    data = bytearray(packed({"a": b"x"}))
    end = data.rfind(b"PK\x05\x06")
    struct.pack_into("<HH", data, end + 8, 60_000, 60_000)
    with pytest.raises(BadArchive, match="lists 60000 entries"):
        opened(bytes(data), entries=1000)


def test_entries_that_share_bytes_are_refused() -> None:
    data = bytearray(packed({"a": b"x" * 50, "b": b"y" * 50}, zipfile.ZIP_STORED))
    second = data.rfind(b"PK\x01\x02")
    struct.pack_into("<L", data, second + 42, 0)  # both begin at the first entry
    with pytest.raises(BadArchive, match="share bytes"):
        opened(bytes(data))


def test_the_same_name_twice_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", b"1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a", b"2")
    with pytest.raises(BadArchive, match="same name"):
        opened(buffer.getvalue())


def test_other_methods_and_passwords_are_refused() -> None:
    with pytest.raises(BadArchive, match="method other than store and deflate"):
        opened(packed({"a": b"x"}, zipfile.ZIP_LZMA))
    data = bytearray(packed({"a": b"x"}))
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(BadArchive, match="encrypted"):
        opened(bytes(data))


@pytest.mark.parametrize("share", [0.01, 0.25, 0.5, 0.9, 0.99, 0.999])
def test_a_cut_archive_is_refused_as_such(tmp_path: Path, share: float) -> None:
    whole = npz_zip(tmp_path / "a.zip", [log(0)]).read_bytes()
    (tmp_path / "a.zip").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(LogError, match=r"a\.zip is not a whole zip file.*upload it again"):
        open_logs(tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"", "is empty"),
        (b"\x89HDF\r\n\x1a\n", "is not a whole HDF5 file"),
        (b"\x1f\x8b\x08", "is a gzip file"),
        (b"\x80\x05\x95", "pickle, which is never opened"),
        (b"hello", "cannot be read .*no npz files.*docs/formats.md"),
    ],
)
def test_other_files_are_recognised(tmp_path: Path, start: bytes, words: str) -> None:
    (tmp_path / "a").write_bytes(start)
    with pytest.raises(LogError, match=words):
        open_logs(tmp_path / "a", label="robot logs")


@pytest.mark.parametrize("name", ["../../escape.npz", "/etc/escape.npz", "a\r\nb.npz", "ü" * 999])
def test_hostile_names_are_labels_only(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.zip"
    path.write_bytes(packed({name + "x.npz": npz_bytes(log(0)), "b.npz": npz_bytes(log(1))}))
    with closing(open_logs(path)) as reader:
        for ref in reader.episodes:
            assert ref.file.isprintable()
            assert len(ref.file) <= 121
            with reader.open(ref) as fields:
                assert len(fields["image"].read()) == 6
    assert [p.name for p in tmp_path.rglob("*")] == ["in", "a.zip"]


def test_leftovers_of_file_managers_are_ignored(tmp_path: Path) -> None:
    junk = {"__MACOSX/._ep.npz": b"junk", "._ep.npz": b"junk"}
    (tmp_path / "a.zip").write_bytes(packed({"ep.npz": npz_bytes(log(0)), **junk}))
    with closing(open_logs(tmp_path / "a.zip")) as reader:
        assert [e.file for e in reader.episodes] == ["ep.npz"]


def test_printable_shortens_and_escapes() -> None:
    assert printable("a\x00b\u202ec") == "a\\x00b\\x202ec"
    assert len(printable("x" * 500)) == 121
