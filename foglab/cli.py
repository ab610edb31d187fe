"""The command line: `foglab --help`."""

import signal
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress
from rich.table import Table

from core.jobs.presets import Preset, described
from foglab import doctor as doctoring
from foglab import listing, removal, results, storage
from foglab.datasets import dataset
from foglab.policies import policy
from foglab.run_policy import run_policy
from foglab.show import follow, jobs_table
from foglab.terminal import Commands, Place, emit, err, out, place
from foglab.tokens import environment_of, projects, tokens
from foglab.training import evaluate, train
from foglab.webhooks import webhook

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(train, name="train")
app.add_typer(dataset, name="dataset")
app.add_typer(policy, name="policy")
app.add_typer(tokens, name="token")
app.add_typer(projects, name="project")
app.add_typer(webhook, name="webhook")
app.command()(evaluate)
listing.register(app)
app.command("run-policy")(run_policy)
for command in (
    results.download,
    results.lineage,
    removal.delete,
    results.metrics,
    results.compare,
    storage.backup,
    storage.restore,
    storage.gc,
):
    app.command()(command)


@app.callback()
def main(
    context: typer.Context,
    url: Annotated[str | None, typer.Option(help="Address of the service [FOGLAB_URL]")] = None,
    token: Annotated[str | None, typer.Option(help="Token [FOGLAB_TOKEN]")] = None,
    home: Annotated[
        Path | None, typer.Option(help="Root of a local installation [FOGLAB_HOME]")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of tables; may stand anywhere")
    ] = False,
) -> None:
    """Train robot policies inside worlds learned from the robot's own logs.

    Without `--url` the service of this machine is found by its own files. Exit codes: 0 done, 1 failed
    or refused, 2 wrong usage, 3 no service answers, 4 the token does not allow it.
    """
    context.obj = Place(url, token, home, as_json)


@app.command()
def up(
    context: typer.Context,
    port: Annotated[int | None, typer.Option(help="Port of the API")] = None,
    dashboard_port: Annotated[int | None, typer.Option(help="Port of the dashboard")] = None,
    dashboard: Annotated[bool, typer.Option(help="Start the dashboard too")] = True,
    home: Annotated[Path | None, typer.Option(help="Root of the installation")] = None,
) -> None:
    """Start API, workers, dashboard and broker on this machine, until Ctrl-C."""
    from foglab import up as service

    root = home or place(context).home
    raise typer.Exit(service.run(root, port, dashboard_port, dashboard))


@app.command()
def demo(
    context: typer.Context,
    preset: Annotated[Preset, typer.Option(help=f"What it may cost. {described()}")] = Preset.DEMO,
    task: Annotated[str, typer.Option(help="push_disc or push_t")] = "push_disc",
    episodes: Annotated[int | None, typer.Option(min=2, help="Episodes of logs")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    keep: Annotated[bool, typer.Option(envvar="KEEP", help="Stay up after the summary")] = True,
    port: Annotated[int | None, typer.Option(help="Port of the API")] = None,
    dashboard: Annotated[bool, typer.Option(help="Start the dashboard too")] = True,
) -> None:
    """The main job: make robot logs, upload them, train, judge, and show what was imagined."""
    from foglab import child
    from foglab import demo as showing

    options = showing.Options(
        place(context).root, preset, task, episodes, seed, keep, port, dashboard
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends it as Ctrl-C does
    try:
        showing.run(options, out)
    except (showing.DemoFailed, child.StartError) as error:
        err.print(str(error), style="red", highlight=False, markup=False)
        raise typer.Exit(1) from None


@app.command("make-logs")
def make_logs(
    task: Annotated[str, typer.Argument(help="push_disc or push_t")],
    target: Annotated[Path, typer.Argument(help="Zip file to write")],
    episodes: Annotated[int, typer.Option(min=1)] = 100,
    image_size: Annotated[int, typer.Option(min=16, max=512, help="Side in pixels")] = 64,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Play a task with a scripted policy and write what a robot would have logged."""
    from core.envs import logs

    with Progress(console=err, transient=True) as bar:
        shown = bar.add_task("Playing", total=episodes)
        logs.make_logs(
            task, episodes, target, image_size, seed, lambda n, _: bar.update(shown, completed=n)
        )
    out.print(f"{target}: {episodes} episodes, {target.stat().st_size / 1e6:.1f} MB")


@app.command()
def upload(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(exists=True, help="File, or folder to be zipped")],
    name: Annotated[
        str | None, typer.Option(help="Make a dataset of this name of it right away")
    ] = None,
    resume: Annotated[str | None, typer.Option(help="Id of an upload that was cut off")] = None,
    watch: Annotated[bool, typer.Option("--follow/--no-follow")] = True,
) -> None:
    """Upload robot logs; a cut connection is bridged."""
    with place(context).client(patience=60) as client:
        with Progress(console=err, transient=True) as bar:
            shown = bar.add_task("Uploading", total=None)
            done = client.upload(
                path,
                resume=resume,
                created=lambda i: err.print(f"Upload {i} (go on with --resume {i})"),
                progress=lambda n, total: bar.update(shown, completed=n, total=total),
            )
        told = f"{done.id}  {done.size} bytes  sha256 {done.sha256}"
        if name is None:
            emit(context, done, told)
            return
        job = client.ingest(done.id, name)
        if not watch:
            emit(context, job, told, jobs_table([job]))
            return
        (job,) = follow(err, lambda: [client.job(job.id)])
        ended = f"{job.output_id}  {job.name}  {job.status}  {job.error or ''}".strip()
        emit(context, job, told, ended)
        if job.status != "succeeded":
            raise typer.Exit(1)


@app.command()
def watch(context: typer.Context, job_ids: Annotated[list[str], typer.Argument()]) -> None:
    """Follow jobs to their end; exit code 1 if one does not succeed."""
    with place(context).client(patience=60) as client:
        ended = follow(err, lambda: [client.job(i) for i in job_ids])
    emit(context, list(ended), jobs_table(ended))
    if any(job.status != "succeeded" for job in ended):
        raise typer.Exit(1)


@app.command()
def log(context: typer.Context, job_id: str, tail: Annotated[int, typer.Option()] = 100) -> None:
    """The last lines of a job's log."""
    with place(context).client() as client:
        print(client.log(job_id, tail))


@app.command()
def cancel(context: typer.Context, job_id: str) -> None:
    """Ask a job to stop."""
    with place(context).client() as client:
        job = client.cancel(job_id)
    emit(context, job, jobs_table([job]))


@app.command()
def retry(context: typer.Context, job_id: str) -> None:
    """Queue a failed or cancelled job again; it goes on from its last checkpoint."""
    with place(context).client() as client:
        job = client.retry(job_id)
    emit(context, job, jobs_table([job]))


@app.command()
def doctor(context: typer.Context) -> None:
    """Say what is wrong with this installation, and what to do; exit code 1 if anything is."""
    where = place(context)
    found = doctoring.findings(environment_of(where.home), lambda: where.client(patience=0))
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in found:
        mark = "[green]ok[/]" if finding.well else "[red]wrong[/]"
        table.add_row(mark, finding.what, finding.told)
    emit(context, [asdict(f) for f in found], table)
    raise typer.Exit(0 if all(f.well for f in found) else 1)


if __name__ == "__main__":
    app()
