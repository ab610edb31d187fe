"""What a disk may hold after a power cut at any moment of a recorded deed.

The deed runs under strace. Its calls become operations on inodes; those that no fsync covers by
the time of the cut may have reached the disk or not, each on its own and in any order. An fsync
of a file covers its data, not its name; a name is covered by an fsync of its folder. A rename
takes effect as a whole. The idea is ALICE's (Pillai et al., OSDI 2014).
"""

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_CALLS = (
    "openat,write,pwrite64,ftruncate,rename,renameat,renameat2,"
    "mkdir,mkdirat,unlink,unlinkat,rmdir,fsync,fdatasync,link,linkat,symlink,copy_file_range"
)
_LINE = re.compile(r"^\d+\s+(\w+)\((.*)\)\s+= (-?\d+)(<.*>)?")
_TEXT, _FD = re.compile(r'"((?:[^"\\]|\\.)*)"'), re.compile(r"\d+<([^>]*)>")
BEGIN, END = "/begin-of-the-deed", "/end-of-the-deed"
RANDOM_SETS = 12


@dataclass
class Node:
    """A folder (entries) or a file (chunks of data as they were written)."""

    entries: dict[str, int] | None = None
    data: bytes = b""


@dataclass(frozen=True)
class Op:
    """Either names that change together, or data that ends at `end` of a file."""

    names: tuple[tuple[int, str, int | None], ...] = ()
    file: int | None = None
    start: int = 0
    end: int = 0


@dataclass
class Recording:
    """The tree before, its top folder, and what was done to it."""

    top: int = 0
    nodes: list[Node] = field(default_factory=list)
    before: dict[int, dict[str, int]] = field(default_factory=dict)
    steps: list[Op | tuple[int, ...]] = field(default_factory=list)
    """An operation, or the numbers of the operations that an fsync covers."""


def record(root: Path, deed: list[str], log: Path) -> Recording:
    """Run `python <deed>`, which prints BEGIN and END markers by opening them, under strace."""
    strace = shutil.which("strace")
    assert strace is not None, "strace is missing: apt-get install strace"
    watcher = _Watcher(root)
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [strace, "-f", "-y", "--seccomp-bpf", "-s", "1", "-e", f"trace={_CALLS}"]
    subprocess.run([*command, "-o", str(log), sys.executable, *deed], check=True, env=environ)
    recording = watcher.read(log)
    assert any(isinstance(step, Op) for step in recording.steps), "nothing was recorded"
    return recording


class _Watcher:
    """Turns lines of strace into operations on inodes."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.recording = Recording()
        self.nodes = self.recording.nodes
        self.top = self.recording.top = self._load(root)
        self.recording.before = {
            n: dict(node.entries) for n, node in enumerate(self.nodes) if node.entries is not None
        }
        self.ops = 0
        self.dirty: dict[int, list[int]] = {}

    def read(self, log: Path) -> Recording:
        lines = log.read_text().splitlines()
        begin = next(i for i, line in enumerate(lines) if BEGIN in line)
        end = next(i for i, line in enumerate(lines) if END in line)
        for line in lines[begin + 1 : end]:
            assert "unfinished" not in line or self.root not in line, line
            found = _LINE.match(line)
            if found and self.root in line and int(found[3]) >= 0:
                self._call(found[1], found[2], int(found[3]), line)
        for number, node in enumerate(self.nodes):
            path = self._path_of(number)
            if node.entries is None and path is not None:
                node.data = path.read_bytes()
        return self.recording

    def _call(self, name: str, arguments: str, result: int, line: str) -> None:
        texts = list(_TEXT.findall(arguments))
        held = _FD.findall(arguments)
        match name:
            case "openat" if "O_CREAT" in arguments and self._find(texts[0]) is None:
                self._make(texts[0], Node())
            case "openat":
                assert "O_TRUNC" not in arguments, line
            case "mkdir" | "mkdirat":
                self._make(texts[0], Node(entries={}))
            case "write" | "pwrite64":
                number = self._existing(held[0])
                start = len(self.nodes[number].data)
                self.nodes[number].data += bytes(result)
                self._op(Op(file=number, start=start, end=start + result), number)
            case "rename" | "renameat" | "renameat2":
                (a, one), (b, two) = self._place(texts[0]), self._place(texts[1])
                moved = self._entries(a).pop(one)
                self._entries(b)[two] = moved
                self._op(Op(names=((a, one, None), (b, two, moved))), a, b)
            case "unlink" | "rmdir" | "unlinkat":
                path = texts[0] if texts[0].startswith("/") else f"{held[0]}/{texts[0]}"
                folder, leaf = self._place(path)
                del self._entries(folder)[leaf]
                self._op(Op(names=((folder, leaf, None),)), folder)
            case "fsync" | "fdatasync":
                covered = self.dirty.pop(self._existing(held[0]), [])
                self.recording.steps.append(tuple(covered))
            case "ftruncate":
                pass  # makes room; the bytes follow by write
            case _:
                raise AssertionError(f"not modelled: {line}")

    def _op(self, op: Op, *touched: int) -> None:
        self.recording.steps.append(op)
        for number in touched:
            self.dirty.setdefault(number, []).append(self.ops)
        self.ops += 1

    def _make(self, path: str, node: Node) -> None:
        folder, leaf = self._place(path)
        self.nodes.append(node)
        if node.entries is not None:
            self.recording.before[len(self.nodes) - 1] = {}
        self._entries(folder)[leaf] = len(self.nodes) - 1
        self._op(Op(names=((folder, leaf, len(self.nodes) - 1),)), folder)

    def _load(self, path: Path) -> int:
        if path.is_dir():
            entries = {p.name: self._load(p) for p in sorted(path.iterdir())}
            self.nodes.append(Node(entries=entries))
        else:
            self.nodes.append(Node(data=path.read_bytes()))
        return len(self.nodes) - 1

    def _entries(self, number: int) -> dict[str, int]:
        entries = self.nodes[number].entries
        assert entries is not None
        return entries

    def _find(self, path: str) -> int | None:
        number: int | None = self.top
        for part in Path(path).relative_to(self.root).parts:
            number = self._entries(number).get(part) if number is not None else None
        return number

    def _existing(self, path: str) -> int:
        number = self._find(path)
        assert number is not None, path
        return number

    def _place(self, path: str) -> tuple[int, str]:
        return self._existing(str(Path(path).parent)), Path(path).name

    def _path_of(
        self, wanted: int, number: int | None = None, path: Path | None = None
    ) -> Path | None:
        number, path = (self.top, Path(self.root)) if number is None else (number, path)
        assert path is not None
        if number == wanted:
            return path
        for name, child in (self.nodes[number].entries or {}).items():
            found = self._path_of(wanted, child, path / name)
            if found is not None:
                return found
        return None


def states(
    recording: Recording, seed: int = 0
) -> Iterator[tuple[int, bool, frozenset[tuple[int, bool]]]]:
    """(steps done before the cut, all done?, which operations reached the disk, whole or torn)."""
    chance = random.Random(seed)
    for done in range(len(recording.steps) + 1):
        ops = [n for n, s in enumerate(x for x in recording.steps[:done] if isinstance(x, Op))]
        safe = {n for s in recording.steps[:done] if isinstance(s, tuple) for n in s}
        free = [n for n in ops if n not in safe]
        kept: list[set[int]] = [set(), set(free)]
        kept += [{n} for n in free] + [set(free) - {n} for n in free]
        kept += [{n for n in free if chance.random() < 0.5} for _ in range(RANDOM_SETS)]
        seen = {frozenset(k) for k in kept}
        for one in sorted(seen, key=sorted):
            base = [(n, True) for n in safe]
            yield done, done == len(recording.steps), frozenset([*base, *((n, True) for n in one)])
            torn = [n for n in one if _ops(recording)[n].file is not None]
            for n in torn[:2]:
                rest = ((m, True) for m in one if m != n)
                yield done, False, frozenset([*base, *rest, (n, False)])


def _ops(recording: Recording) -> list[Op]:
    return [s for s in recording.steps if isinstance(s, Op)]


def write(recording: Recording, reached: frozenset[tuple[int, bool]], target: Path) -> None:
    """Lay out in the empty folder `target` what the disk holds."""
    entries = {n: dict(e) for n, e in recording.before.items()}
    original = {i for e in recording.before.values() for i in e.values()}
    data: dict[int, bytearray] = {}
    whole = dict(reached)
    for n, op in enumerate(_ops(recording)):
        if n not in whole:
            continue
        for folder, name, node in op.names:
            if node is None:
                entries[folder].pop(name, None)
            else:
                entries[folder][name] = node
        if op.file is not None:
            end = op.end if whole[n] else (op.start + op.end) // 2
            content = data.setdefault(op.file, bytearray())
            content.extend(bytes(max(0, end - len(content))))
            content[op.start : end] = recording.nodes[op.file].data[op.start : end]

    def lay(number: int, path: Path) -> None:
        if number in entries:
            path.mkdir(exist_ok=True)
            for name, child in entries[number].items():
                lay(child, path / name)
        elif number in original and number not in data:
            path.write_bytes(recording.nodes[number].data)
        else:
            path.write_bytes(bytes(data.get(number, b"")))

    lay(recording.top, target)
