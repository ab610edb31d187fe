"""`foglab train …` and `foglab evaluate`: put jobs in, and watch them if asked."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from core.jobs.presets import Preset, described
from core.jobs.replies import Job
from core.jobs.spec import Kind
from foglab.client import ServiceClient
from foglab.show import follow, jobs_table
from foglab.terminal import emit, err, place

train = typer.Typer(no_args_is_help=True, help="Train one model, or the whole line.")

DatasetOption = Annotated[str, typer.Option("--dataset", help="Id of the dataset")]
PresetOption = Annotated[Preset | None, typer.Option(help=f"What it may cost. {described()}")]
PipelinePreset = Annotated[Preset, typer.Option(help=f"What it may cost. {described()}")]
SeedOption = Annotated[int, typer.Option(help="Same seed, same result")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="A field of the spec; may be repeated"),
]
NameOption = Annotated[str | None, typer.Option(help="Name of the job and of what it makes")]
FollowOption = Annotated[bool, typer.Option("--follow/--no-follow", help="Watch until the end")]
GlobalOption = Annotated[str, typer.Option("--global-model", help="Id of the global model")]
RewardOption = Annotated[str, typer.Option(help="logged, success or ranking")]
GoalOption = Annotated[
    list[str] | None,
    typer.Option("--goal", metavar="EPISODE:FRAME", help="Goal frame for ranking; repeat it"),
]
LocalOption = Annotated[str, typer.Option("--local-model", help="Id of the local model")]


@train.command("global")
def train_global(
    context: typer.Context,
    dataset: DatasetOption,
    reward: RewardOption = "logged",
    goals: GoalOption = None,
    preset: PresetOption = None,
    seed: SeedOption = 0,
    fields: SetOption = None,
    name: NameOption = None,
    watch: FollowOption = False,
) -> None:
    """The diffusion world model and its reward model."""
    spec = {"dataset": dataset, "reward": reward, "goals": goals or [], "seed": seed}
    spec |= values(fields)
    _one(context, Kind.GLOBAL_MODEL, spec, preset, name, watch)


@train.command("local")
def train_local(
    context: typer.Context,
    dataset: DatasetOption,
    global_model: Annotated[
        str | None, typer.Option(help="Id of the global model that labels and teaches it")
    ] = None,
    preset: PresetOption = None,
    seed: SeedOption = 0,
    fields: SetOption = None,
    name: NameOption = None,
    watch: FollowOption = False,
) -> None:
    """The local model, which gradients flow through."""
    spec = {"dataset": dataset, "global_model": global_model, "seed": seed, **values(fields)}
    _one(context, Kind.LOCAL_MODEL, spec, preset, name, watch)


@train.command("policy")
def train_policy(
    context: typer.Context,
    dataset: DatasetOption,
    global_model: GlobalOption,
    local_model: LocalOption,
    preset: PresetOption = None,
    seed: SeedOption = 0,
    fields: SetOption = None,
    name: NameOption = None,
    watch: FollowOption = False,
) -> None:
    """A policy, in imagination."""
    spec = {"dataset": dataset, "global_model": global_model, "local_model": local_model}
    _one(context, Kind.POLICY, {**spec, "seed": seed, **values(fields)}, preset, name, watch)


@train.command("pipeline")
def train_pipeline(
    context: typer.Context,
    dataset: Annotated[str | None, typer.Option(help="Id of the dataset")] = None,
    logs: Annotated[Path | None, typer.Option(help="Logs to upload and ingest first")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the dataset made of logs")] = None,
    preset: PipelinePreset = Preset.DEMO,
    task: Annotated[str | None, typer.Option(help="True simulator: push_disc or push_t")] = None,
    reward: RewardOption = "logged",
    goals: GoalOption = None,
    seed: SeedOption = 0,
    watch: FollowOption = True,
) -> None:
    """All steps: global model, local model, policy, evaluation, rollouts."""
    if (dataset is None) == (logs is None):
        raise typer.BadParameter("give either --dataset or --logs")
    with place(context).client(patience=60) as client:
        upload = client.upload(logs).id if logs is not None else None
        line = client.pipeline(
            preset=preset,
            dataset_id=dataset,
            upload_id=upload,
            name=name or (logs.stem if logs is not None else None),
            task=task,
            reward=reward,
            goals=goals or (),
            seed=seed,
        )
        _finish(context, client, line.jobs, watch)


def evaluate(
    context: typer.Context,
    dataset: DatasetOption,
    global_model: GlobalOption,
    local_model: Annotated[str | None, typer.Option(help="Id of the local model")] = None,
    policy: Annotated[str | None, typer.Option(help="Id of the policy")] = None,
    task: Annotated[str | None, typer.Option(help="True simulator: push_disc or push_t")] = None,
    preset: PresetOption = None,
    seed: SeedOption = 0,
    fields: SetOption = None,
    name: NameOption = None,
    watch: FollowOption = True,
) -> None:
    """Judge models and policy against held-out episodes and the true simulator."""
    given = {"local_model": local_model, "policy": policy, "task": task}
    spec = {"dataset": dataset, "global_model": global_model, "seed": seed, **values(fields)}
    spec |= {k: v for k, v in given.items() if v is not None}
    _one(context, Kind.EVALUATE, spec, preset, name, watch)


def values(fields: Sequence[str] | None) -> dict[str, Any]:
    """`steps=100` to `{"steps": 100}`; what is not JSON is text."""
    found: dict[str, Any] = {}
    for field in fields or ():
        key, equals, text = field.partition("=")
        if not equals:
            raise typer.BadParameter(f"{field!r} is not FIELD=VALUE")
        try:
            found[key] = json.loads(text)
        except ValueError:
            found[key] = text
    return found


def _one(
    context: typer.Context,
    kind: Kind,
    spec: dict[str, Any],
    preset: Preset | None,
    name: str | None,
    watch: bool,
) -> None:
    with place(context).client(patience=60) as client:
        job = client.submit(kind, spec, preset=preset, name=name)
        _finish(context, client, [job], watch)


def _finish(
    context: typer.Context, client: ServiceClient, jobs: Sequence[Job], watch: bool
) -> None:
    """Print the jobs; with `watch`, stay until they end and leave with 1 if one did not succeed."""
    if not watch:
        emit(context, list(jobs), jobs_table(jobs))
        return
    ids = [job.id for job in jobs]
    ended = follow(err, lambda: [client.job(i) for i in ids])
    told = [json.dumps({job.id: job.result}, indent=2) for job in ended if job.result]
    emit(context, list(ended), jobs_table(ended), *told)
    if any(job.status != "succeeded" for job in ended):
        raise typer.Exit(1)
