"""The job process: `python -m worker.run_job <job id> <epoch> …`, started by the launcher.

It holds no credentials and sees no database: it reads `spec.json`, writes into the run folder,
and says how it ended by its exit code and `result.json` or `error.json`.
"""

import argparse
import contextlib
import faulthandler
import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from core.artifacts import Artifacts, StagePaths, UnknownArtifact
from core.disk import is_full
from core.jobs.spec import JobSpec, spec_adapter
from core.logs import logs
from core.recorder import Cancelled
from core.stop_flag import StopFlag
from worker import decoding
from worker.cost import cost
from worker.lifeline import Lifeline, die_with_parent, kill_companions
from worker.mirrors import Mirrored, sinks
from worker.publish import seal
from worker.recorder import FileRecorder, write_json

SUCCEEDED, FAILED, STOPPED, DISK_FULL = 0, 10, 11, 12
STACKS_SIGNAL = signal.SIGUSR1
"""Makes the process write the stacks of its threads to its log, whatever holds it up."""
_LONGEST_REASON = 2000
log = logging.getLogger("foglab.job")


def main(argv: list[str] | None = None) -> int:
    """Run one attempt; returns the exit code."""
    options = _options(argv)
    logs("text", job=options.job_id, attempt=options.epoch)
    stopping = StopFlag()
    artifacts = Artifacts(Path(os.environ["FOGLAB_HOME"]))
    run = artifacts.run(options.job_id)
    attempt = run / f"attempt-{options.epoch}"
    log.info("attempt %d of %s starts", options.epoch, options.job_id)
    spec: JobSpec | None = None
    recorder: Mirrored | None = None
    try:
        spec = spec_adapter.validate_json((run / "spec.json").read_bytes())
        decoding.confine(spec, artifacts, run, attempt)
        _listen(stopping, options)
        written = FileRecorder(run, stopping, private=attempt)
        recorder = Mirrored(written, sinks(spec, options.job_id, artifacts.root))
        from core.stages import run_stage  # here, so that a broken import becomes a reason too

        checkpoints = artifacts.checkpoints(options.job_id, options.epoch)
        paths = StagePaths(artifacts, checkpoints, attempt / "out")
        result = run_stage(spec, paths, recorder)
        recorder.close(well=True)
        write_json(run / "cost.json", cost(written.training_seconds, paths.out, paths.checkpoints))
        seal(spec, options.job_id, options.output, run, paths.out)
        write_json(attempt / "result.json", result)
    except Cancelled:
        log.info("stopped as asked")
        return STOPPED
    except BaseException as error:
        log.exception("failed")
        if is_full(error):
            with contextlib.suppress(OSError):  # the launcher can estimate it
                needs = getattr(error, "needs", None)
                write_json(attempt / "needs.json", {"bytes": needs} if needs else {})
            return DISK_FULL  # not the job's fault: it waits for room
        told = reason(error, artifacts.root)
        if spec is not None and spec.kind in decoding.KINDS:
            told = decoding.failure(error, told)
        write_json(attempt / "error.json", {"error": told})
        return FAILED
    finally:
        if recorder is not None:
            recorder.close()
    log.info("done")
    return SUCCEEDED


def reason(error: BaseException, home: Path) -> str:
    """What went wrong in words for the user; the traceback is in the job's log."""
    text = str(error).strip()
    if isinstance(error, UnknownArtifact | ValueError) and text:
        told = text
    elif isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        told = "out of memory; choose a smaller batch or smaller images and retry the job"
    else:
        told = f"{type(error).__name__}: {text}" if text else type(error).__name__
        told += " (this is not expected; the job's log has the details)"
    return told.replace(f"{home}/", "")[:_LONGEST_REASON]


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="worker.run_job")
    parser.add_argument("job_id")
    parser.add_argument("epoch", type=int)
    parser.add_argument("--output", required=True, help="id of the artifact to make")
    parser.add_argument("--parent", type=int, help="process that must live")
    parser.add_argument("--lifeline", type=int, help="descriptor of the pipe it holds open")
    parser.add_argument("--silence", type=float, default=40.0, help="seconds without a byte")
    parser.add_argument("--grace", type=float, default=15.0, help="seconds to save a checkpoint")
    return parser.parse_args(argv)


def _listen(stopping: StopFlag, options: argparse.Namespace) -> None:
    def stop(_signum: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.register(STACKS_SIGNAL)
    if options.lifeline is not None:
        Lifeline(options.lifeline, stopping, options.silence, options.grace).start()
    if options.parent is not None:
        die_with_parent(options.parent)


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    if os.getsid(0) == os.getpid():
        kill_companions()  # the launcher would, but it may be gone or paused
    # Not sys.exit: a library's thread or destructor must not hold up or spoil an ended job.
    os._exit(code)
