"""`python -m tests.malformed`: a thousand malformed uploads, and the table of what became of them."""

import argparse
import json
import sys
import tempfile
from itertools import chain
from pathlib import Path

from benchmarks.machine import machine, versions
from tests.malformed.harness import READ, WHOLE, run
from tests.malformed.kinds import KINDS, cases
from tests.malformed.seeds import whole_cases

RESULTS = Path(__file__).parents[2] / "benchmarks/results/malformed.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.malformed", description=__doc__)
    parser.add_argument("--each", type=int, default=18, help="uploads of each kind")
    parser.add_argument("--kinds", nargs="*", choices=sorted(KINDS), help="default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--forked", action="store_true", help="copies of a warm process: quicker")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--keep", type=Path, help="write every outcome to this file too")
    options = parser.parse_args()
    chosen = (
        c for c in cases(options.each, options.seed) if not options.kinds or c[0] in options.kinds
    )
    with tempfile.TemporaryDirectory(prefix="foglab-malformed-") as top:
        sent = chain(whole_cases(WHOLE), chosen)
        found = run(Path(top), sent, options.workers, options.forked)
    found.outcomes = [o for o in found.outcomes if o.kind != WHOLE]
    if options.keep:
        lines = (json.dumps(vars(o)) for o in found.outcomes)
        options.keep.write_text("\n".join(lines) + "\n")
    table = {
        "command": _command(options),
        "machine": machine(),
        "versions": versions(),
        "seed": options.seed,
        "process": "a copy of a warm one" if options.forked else "a fresh one by exec",
        "files": len(found.outcomes),
        "kinds": len({o.kind for o in found.outcomes}),
        "refused": sum(o.result.startswith("refused") for o in found.outcomes),
        "failed": sum(not o.result.startswith(("refused", "read")) for o in found.outcomes),
        **{what: sum(o.result == what for o in found.outcomes) for what in READ},
        "most_cpu_seconds": round(max(o.cpu_seconds for o in found.outcomes), 2),
        "most_bytes": found.peak_bytes,
        "looks_at_datasets": found.polls,
        "longest_gap_seconds": round(found.longest_gap_seconds, 2),
        "violations": found.violations,
        "rows": found.table(),
    }
    options.results.write_text(json.dumps(table, indent=1) + "\n")
    print({k: v for k, v in table.items() if k != "rows"})  # noqa: T201
    return 1 if found.violations else 0


def _command(options: argparse.Namespace) -> str:
    """What repeats it, wherever the table is written."""
    words = [f"--each {options.each} --seed {options.seed} --workers {options.workers}"]
    words += ["--forked"] if options.forked else []
    words += ["--kinds", *options.kinds] if options.kinds else []
    return " ".join(["python -m tests.malformed", *words])


if __name__ == "__main__":
    sys.exit(main())
