"""`cryopick submit`: write the batch script of a command for a cluster."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, BadParameter, Option

from cryopick.cli.app import app
from cryopick.cli.common_options import PARSES_ONLY
from cryopick.cli.messages import add_results, note
from cryopick.cli.options import Force
from cryopick.cli.repeated_option import repeat_micrograph_option
from cryopick.errors import SettingsError

__all__ = ["submit"]

_SHARDABLE = ("pick", "score", "propose", "filaments")
_SINGLE = ("train",)
_TEMPLATE_VARIABLE = "CRYOPICK_SUBMIT_TEMPLATE"


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def submit(
    words: Annotated[
        list[str],
        Argument(metavar="COMMAND", help="The cryopick command to run, such as: pick mics -o out"),
    ],
    scheduler: Annotated[str, Option(help="Scheduler: slurm, pbs, sge or lsf.")],
    out: Annotated[Path, Option("--script", "-s", metavar="FILE", help="Batch script to write.")],
    shards: Annotated[
        int | None,
        Option(
            min=2,
            max=100_000,
            help="Number of shards, each a task of an array job. [default: a single job]",
        ),
    ] = None,
    cores: Annotated[int, Option(min=1, help="CPU cores per task.")] = 4,
    partition: Annotated[
        str, Option(metavar="NAME", help="Partition or queue. [default: that of the cluster]")
    ] = "",
    time: Annotated[
        str,
        Option(
            metavar="HH:MM:SS",
            help="Time limit of a task; 2-00:00:00 are two days. [default: that of the cluster]",
        ),
    ] = "",
    memory_gb: Annotated[
        float | None,
        Option(min=0.001, help="Memory of a task in GB. [default: that of the cluster]"),
    ] = None,
    gpus: Annotated[int, Option(min=0, help="GPUs of a task.")] = 0,
    log_folder: Annotated[
        Path | None,
        Option(
            metavar="DIR",
            help="Folder of the logs, created if missing. [default: that of the scheduler]",
        ),
    ] = None,
    setup: Annotated[
        list[str] | None,
        Option(
            metavar="LINE",
            help="Line of shell to run before the command, such as 'module load cryopick'; "
            "repeatable.",
        ),
    ] = None,
    template: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            envvar=_TEMPLATE_VARIABLE,
            help="Template of the script with {{directives}}, {{setup}} and {{command}}. "
            f"[default: the variable {_TEMPLATE_VARIABLE}, or that of cryopick]",
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Write a batch script for a cluster.

    With --shards, the script is an array job of `pick`, `score`, `propose` or `filaments`; without,
    it is a single job, of `train` as well. The options of submit come before the command, which is
    checked before the script is written.

    Example: cryopick submit --scheduler slurm --shards 20 -s job.sh pick mics -o picks.star
    """
    from cryopick.distributed.submit import SCHEDULERS, JobScript, parse_time_limit
    from cryopick.runs.atomic_write import atomic_write
    from cryopick.runs.text_files import read_text

    if scheduler not in SCHEDULERS:
        raise BadParameter(f"--scheduler must be one of {', '.join(SCHEDULERS)}; got {scheduler!r}")
    _check_command(words, shards)
    try:
        script = JobScript(
            scheduler=scheduler,
            words=words,
            file=str(out),
            shards=shards,
            cores=cores,
            partition=partition,
            time_s=parse_time_limit(time) if time else None,
            memory_gb=memory_gb,
            gpus=gpus,
            log_folder=str(log_folder or ""),
            setup=setup or (),
            template=read_text(template) if template else "",
        )
        text = script.render()
    except SettingsError as error:
        raise BadParameter(f"{template}: {error}" if template else str(error)) from error
    if log_folder:
        log_folder.mkdir(parents=True, exist_ok=True)  # schedulers do not create it
    with atomic_write(out, overwrite=force) as temporary:
        temporary.write_text(text, encoding="utf-8")
    out.chmod(0o755)
    add_results(submit_command=script.submit_command)
    note(f"Submit with: {script.submit_command}")


def _check_command(words: list[str], shards: int | None) -> None:
    """Check the command as if it ran, without running it.

    Raises:
        BadParameter: The command cannot be submitted.
        Exception: A usage error of the command, as Typer raises it.
    """
    name, *rest = words
    if name not in (*_SHARDABLE, *_SINGLE):
        raise BadParameter(
            f"only {', '.join((*_SHARDABLE, *_SINGLE))} can be submitted; got {name}"
        )
    if shards and name in _SINGLE:
        raise BadParameter(f"{name} cannot run in shards; remove --shards")
    if "--shard" in rest:
        raise BadParameter("remove --shard from the command; submit adds it with --shards")
    command: Any = typer.main.get_command(app)
    command = command.get_command(typer.Context(command), name)
    rest = repeat_micrograph_option(command.params, rest)
    if shards:
        rest += ["--shard", f"1/{shards}"]
    with command.make_context(f"cryopick {name}", rest, obj={PARSES_ONLY: True}) as context:
        check = getattr(command.callback, "check_settings", None)
        if check is not None:
            _check_settings(check, context)
        if name == "pick":
            from cryopick.cli.pick import check_threshold

            check_threshold(context.params["options__threshold"], context.params["shard"])


def _check_settings(check: Any, context: Any) -> None:  # noqa: ANN401  # Typer's own types
    """Check the settings of a command.

    Raises:
        BadParameter: A value is missing or out of range.
    """
    try:
        check(context.params, only_required=context.command.name in _SINGLE)
    except SettingsError as error:
        raise BadParameter(str(error), ctx=context) from error
