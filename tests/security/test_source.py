"""What no source file may do: run what a file holds, or talk to addresses of a client's choice."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = ("api", "core", "dashboard", "foglab", "worker")
ALL = (*SHIPPED, "benchmarks", "tests")

UNSAFE_MODULES = frozenset(
    {
        "pickle",
        "cPickle",
        "_pickle",
        "dill",
        "cloudpickle",
        "joblib",
        "shelve",
        "marshal",
        "jsonpickle",
    }
)
UNSAFE_NAMES = frozenset({"eval", "exec", "compile", "__import__"})
UNSAFE_CALLS = frozenset(
    {
        *("os.system", "os.popen", "os.spawnl", "os.spawnv", "subprocess.getoutput"),
        *(
            "yaml.load",
            "yaml.unsafe_load",
            "yaml.full_load",
            "pandas.read_pickle",
            "pd.read_pickle",
        ),
        *(
            "subprocess.getstatusoutput",
            "tempfile.mktemp",
            "torch.hub.load",
            "shutil.unpack_archive",
        ),
    }
)
UNSAFE_METHODS = frozenset({"extractall"})
CANVAS = frozenset({"chord", "group", "chain", "chunks"})
HTTP_CLIENTS = frozenset(
    {"requests", "httpx", "aiohttp", "urllib3", "http.client", "urllib.request", "ftplib"}
)
ON_PURPOSE = {
    # Bombs, to see them refused.
    "tests/data/makers.py: np.savez(allow_pickle=…)",
    "tests/malformed/archives.py: import tarfile",
    "tests/malformed/arrays.py: import pickle",
    # A zip of the service's own; zipfile keeps names inside the folder.
    "foglab/run_policy.py: archive.extractall",
}
MAY_CALL_OUT = {"foglab": "the client of the service", "dashboard": "through that client"}
CALLS_OUT = {
    "api/webhooks.py: httpx": "to addresses that api/addresses.py has checked",
    "worker/mirrors.py: urllib.request": "to the MLflow server of the settings",
}


def findings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and what is wrong there."""
    for node in ast.walk(tree):
        for module in _imported(node):
            if module.split(".")[0] in UNSAFE_MODULES:
                yield _line(node), f"import {module}"
            if module == "tarfile":
                yield _line(node), "import tarfile"
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("celery"):
            yield from ((node.lineno, a.name) for a in node.names if a.name in CANVAS)
        if isinstance(node, ast.Call):
            yield from ((node.lineno, told) for told in _call(node))


def _call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    keywords = {k.arg: ast.unparse(k.value) for k in node.keywords}
    if name in UNSAFE_NAMES or name in UNSAFE_CALLS or name.split(".")[-1] in UNSAFE_METHODS:
        yield name
    if keywords.get("shell", "False") != "False":
        yield f"{name}(shell=…)"
    if keywords.get("allow_pickle", "False") != "False":
        yield f"{name}(allow_pickle=…)"
    if name == "torch.load" and keywords.get("weights_only") != "True":
        yield "torch.load without weights_only"
    if keywords.get("trust_remote_code", "False") != "False":
        yield f"{name}(trust_remote_code=…)"


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [a.name for a in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
    return []


def _line(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 0))


def sources(folders: tuple[str, ...]) -> Iterator[tuple[Path, ast.AST]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT), ast.parse(path.read_text())


def test_no_file_can_run_what_it_reads() -> None:
    found = {
        f"{path}: {told}"
        for path, tree in sources(ALL)
        if path != Path("tests/security/test_source.py")
        for _, told in findings(tree)
    }
    assert found == ON_PURPOSE


@pytest.mark.parametrize(
    "bad",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib as j",
        "import tarfile",
        "eval(x)",
        "exec(x)",
        "os.system(x)",
        "subprocess.run(x, shell=True)",
        "subprocess.run(x, shell=y)",
        "np.load(p, allow_pickle=True)",
        "np.load(p, allow_pickle=flag)",
        "torch.load(p)",
        "torch.load(p, weights_only=False)",
        "yaml.load(f)",
        "archive.extractall(p)",
        "from celery import chord",
        "AutoModel.from_pretrained(x, trust_remote_code=True)",
    ],
)
def test_check_finds_what_it_is_for(bad: str) -> None:
    assert list(findings(ast.parse(bad)))


@pytest.mark.parametrize(
    "good",
    [
        "model.eval()",
        "np.load(p)",
        "np.load(p, allow_pickle=False)",
        "torch.load(p, weights_only=True)",
        "yaml.safe_load(f)",
        "subprocess.run([x], shell=False)",
        "re.compile(x)",
    ],
)
def test_check_lets_safe_calls_pass(good: str) -> None:
    assert not list(findings(ast.parse(good)))


def test_only_webhooks_and_mirrors_call_other_addresses() -> None:
    """So no URL that a caller gives can be fetched (import by URL does not exist)."""
    found = {
        f"{path}: {module}"
        for path, tree in sources(tuple(f for f in SHIPPED if f not in MAY_CALL_OUT))
        for node in ast.walk(tree)
        for module in _imported(node)
        if module in HTTP_CLIENTS or module.split(".")[0] in HTTP_CLIENTS
    }
    assert found == CALLS_OUT.keys()
