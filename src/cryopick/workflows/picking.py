"""Pick particles on many micrographs, from files to files.

- `PickJob`: everything that a task of picking needs.
- `pick_micrographs`: the whole task.
- `PickResult`: its picks, and the micrographs that were skipped.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryopick.distributed.dask_batch import WorkerJob
from cryopick.errors import CryopickError, InputError, format_count
from cryopick.evaluate.emptiness import Verdict, is_likely_empty
from cryopick.evaluate.expectation import select_automatically
from cryopick.evaluate.label_sample import LabelSample
from cryopick.evaluate.score_distribution import fit_score_distribution
from cryopick.io.images.micrograph import summarize_findings
from cryopick.model.device import AnyDevice, require_device
from cryopick.model.label_scores import get_label_scores
from cryopick.model.model_file import Model, load_kept_model
from cryopick.pick.batch import PickBatch
from cryopick.pick.centring import measure_centre_offset
from cryopick.pick.decisions import resolve_settings
from cryopick.pick.picker import Picker, start_compiling
from cryopick.pick.probe import MAX_MICROGRAPHS
from cryopick.pick.settings import PickSettings
from cryopick.picks import Picks, concatenate
from cryopick.regions import Regions
from cryopick.runs.atomic_write import atomic_write
from cryopick.runs.file_errors import translate_file_errors
from cryopick.runs.metadata import RunMetadata, Stopwatch, write_run_metadata
from cryopick.workflows.cluster import Cluster, choose_execution, run_on_cluster
from cryopick.workflows.empty_check import Judgement, judge_micrographs
from cryopick.workflows.events import (
    EventGroup,
    Events,
    FileSkipped,
    Finished,
    Notice,
    NoticeCode,
    PicksSelected,
    Resumed,
    Started,
    notify_findings,
    track_progress,
)
from cryopick.workflows.micrograph_table import (
    MicrographRow,
    list_skipped,
    micrograph_table_file,
    summarize_micrographs,
    write_micrograph_table,
)
from cryopick.workflows.progress_file import PROGRESS_FILE, ProgressFile
from cryopick.workflows.size_check import describe_other_size
from cryopick.workflows.table_output import TableOutput, metadata_file, settings_file

__all__ = ["PickJob", "PickResult", "pick_micrographs"]

_NO_PARTICLES = (
    "no sign of particles: scores fall off as on micrographs without particles; check the "
    "micrographs, --diameter-ang and the pixel size before you use these picks"
)


@dataclass(frozen=True, kw_only=True)
class PickJob:
    """A task of picking.

    Attributes:
        micrographs: Raw micrographs.
        model: A model, or its file; an output needs the file.
        settings: How to pick.
        output: Tables to write; None only returns the picks.
        ignore: Regions in which nothing is picked, on micrographs named by their paths.
        device: cpu, cuda, mps, or the best of this machine (auto).
        cluster: Workers that share the micrographs; needs an output.
        automatic_threshold: Keep the picks with the highest expected F1.
        drop_empty: With the automatic threshold, drop the picks of micrographs that are probably
            empty.
        warn_if_empty: Emit a notice if the picks show no sign of particles.
        overwrite: Replace an output of another task.
        files: Further input files for the run metadata, by purpose.
        stopwatch: Start of the task and command line, for the run metadata.
    """

    micrographs: Sequence[Path]
    model: Model | Path
    settings: PickSettings
    output: TableOutput | None = None
    ignore: Regions = field(default_factory=lambda: Regions({}))
    device: str = "auto"
    cluster: Cluster | None = None
    automatic_threshold: bool = False
    drop_empty: bool = False
    warn_if_empty: bool = False
    overwrite: bool = False
    files: Mapping[str, Path | None] = field(default_factory=dict)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)


@dataclass(frozen=True, kw_only=True)
class PickResult:
    """Result of a task of picking.

    Attributes:
        picks: The picks, by micrograph and descending score; micrographs are named `str(path)`.
        skipped: Micrographs that could not be used.
    """

    picks: Picks
    skipped: tuple[Path, ...]


def pick_micrographs(job: PickJob, events: Events) -> PickResult:
    """Pick the particles of all micrographs, and write tables, settings and run metadata.

    With an output, results of each micrograph are kept in a ledger, so that the same task
    continues after an interruption and later picks only what is new. Events are also written to
    `progress.jsonl` in the folder of the ledger while the task runs.

    Raises:
        InputError: None of the micrographs can be used, or the model is missing.
        SettingsError: A setting does not fit the model or this machine.
        OutputExistsError: The output belongs to another task, and is not to be replaced.
        BusyError: Another process is working on the same output.
    """
    model = job.model if isinstance(job.model, Model) else load_kept_model(job.model)
    as_given = job.settings
    job = _resolve_settings(job, model, events)
    examined = _list_examined(job, as_given)
    if job.output is None:
        events.emit(Started(workflow="pick", micrographs=len(job.micrographs)))
        device = require_device(job.device)
        picker = Picker.create(model, job.settings, device, job.micrographs, job.ignore)
        return _collect(job, picker.pick, {}, events)
    return _pick_to_tables(job, model, job.output, events, examined)


def _list_examined(job: PickJob, as_given: PickSettings) -> list[str]:
    """List the micrographs that were scored at all sizes and contrasts around the chosen ones."""
    if as_given.contrast != "auto" or as_given.scale_ang is not None:
        return []
    if as_given.diameter_ang not in (None, job.settings.scale_ang):
        return []  # sizes were tried around the given one
    first = job.output.first_micrographs if job.output else job.micrographs
    return [str(path) for path in (first or job.micrographs)[:MAX_MICROGRAPHS]]


def _resolve_settings(job: PickJob, model: Model, events: Events) -> PickJob:
    """Decide on contrast, size and scale where the settings leave them open; tell and record it."""
    first = job.output.first_micrographs if job.output else job.micrographs
    device = require_device(job.device)
    start_compiling(model, job.settings, device)
    settings, decisions = resolve_settings(model, job.settings, device, first or job.micrographs)
    for decision in decisions:
        events.emit(Notice(code=NoticeCode(decision.subject), message=decision.message))
    if difference := describe_other_size(model, job.settings):
        events.emit(Notice(code=NoticeCode.DOUBTFUL_SIZE, message=difference))
    if model.detects_contrast and settings.centre_offset_px is None:
        picker = Picker.create(model, settings, device)
        offset_px = measure_centre_offset(picker, first or job.micrographs)
        settings = replace(settings, centre_offset_px=offset_px)
    return replace(job, settings=settings)


def _pick_to_tables(
    job: PickJob, model: Model, output: TableOutput, events: Events, examined: Sequence[str]
) -> PickResult:
    if isinstance(job.model, Model):
        raise ValueError("tables need the file of the model, for the ledger and the run metadata")
    device, settings = choose_execution(job.cluster, job.device, job.settings)
    batch = PickBatch.create(model, job.model, settings, device, job.ignore)
    ledger = batch.open_ledger(output.ledger_output, "pick")
    with ExitStack() as stack:
        source = stack.enter_context(
            ledger.start(output.tables, overwrite=job.overwrite, inputs=job.micrographs)
        )
        progress_file = stack.enter_context(ProgressFile())
        progress_file.open(ledger.folder / PROGRESS_FILE)
        events = EventGroup(events, progress_file)
        events.emit(Started(workflow="pick", micrographs=len(job.micrographs)))
        if source:
            events.emit(Resumed(source=source))
        batch = batch.prefetch_picks(job.micrographs, ledger)
        failures: dict[Path, str] = {}
        if job.cluster is not None:
            shared = WorkerJob.from_batch(batch, job.model, job.device, ledger)
            missing = dict.fromkeys(batch.picker.order)
            failures = run_on_cluster(job.cluster, shared, missing, job.ignore, events)
        result = _collect(job, lambda path: batch.pick(path, ledger), failures, events)
        with atomic_write(settings_file(output.out), overwrite=True) as temporary:
            temporary.write_text(batch.describe(), encoding="utf-8")
        candidates = result.picks
        judgement = judge_micrographs(candidates, batch.picker, device, examined)
        labels = judgement.labels
        selected = _select(job, candidates, judgement, events)
        result = PickResult(picks=selected, skipped=result.skipped)
        rows = _write_micrograph_table(output, batch.picker, candidates, result, judgement)
        if warnings := [warning for row in rows for warning in row.warnings]:
            message = f"{warnings[0]}; check --diameter-ang, --contrast and the pixel size"
            events.emit(Notice(code=NoticeCode.DOUBTFUL_SIZE, message=message))
        findings = summarize_findings(job.micrographs, job.settings.pixel_size_ang)
        notify_findings(events, findings)
        metadata = _collect_metadata(job, result, rows, batch.describe(), device)
        scores, names = get_label_scores(batch.picker.model)
        metadata = replace(
            metadata, findings=findings, label_scores=scores, label_micrographs=names
        )
        output.write(result.picks, metadata.describe_origin())
        write_run_metadata(metadata, metadata_file(output.out))
        number = "" if job.automatic_threshold else _describe_number(candidates, labels)
        events.emit(Finished(message=_summarize(output, result, rows, number)))
    return result


def _collect(
    job: PickJob, pick: Callable[[Path], Picks], failures: Mapping[Path, str], events: Events
) -> PickResult:
    """Pick one micrograph after the other, and skip those that cannot be used.

    Args:
        job: The task.
        pick: Picks one micrograph.
        failures: Micrographs that could not be used by workers before, with the reasons.
        events: Receiver of progress and skipped files.

    Raises:
        InputError: None of the micrographs can be used.
    """
    tables: list[Picks] = []
    skipped: list[Path] = []

    for path, reason in failures.items():
        skipped.append(path)
        events.emit(FileSkipped(path=path, reason=reason))
    with track_progress(events, "Picking micrographs", len(job.micrographs)) as advance:
        for path in job.micrographs:
            if path not in failures:
                try:
                    with translate_file_errors(path):
                        tables.append(pick(path))
                except CryopickError as error:
                    skipped.append(path)
                    events.emit(FileSkipped.from_error(path, error))
            advance(1)
    if not tables:
        raise InputError("none of the micrographs can be used; see the reasons above")
    return PickResult(picks=concatenate(tables), skipped=tuple(skipped))


def _select(job: PickJob, picks: Picks, judgement: Judgement, events: Events) -> Picks:
    if job.automatic_threshold and len(picks):
        verdicts = [judgement.verdicts[name] for name in picks.micrographs]
        selection = select_automatically(
            picks, drop_empty=job.drop_empty, verdicts=verdicts, labels=judgement.labels
        )
        events.emit(PicksSelected(picks=picks, selection=selection))
        return selection.picks
    if job.warn_if_empty and len(picks) and is_likely_empty(picks):
        events.emit(Notice(code=NoticeCode.NO_PARTICLES, message=_NO_PARTICLES))
    return picks


def _write_micrograph_table(
    output: TableOutput,
    picker: Picker,
    candidates: Picks,
    result: PickResult,
    judgement: Judgement,
) -> list[MicrographRow]:
    """Write the table of the micrographs beside the picks."""
    polarity = "dark" if picker.settings.contrast == "dark" else "as trained"
    polarity = "bright" if picker.model.normalization.inverted else polarity
    rows = summarize_micrographs(
        candidates,
        result.picks,
        diameter_ang=picker.diameter_ang,
        pixel_size_ang=picker.settings.pixel_size_ang,
        polarity=polarity,
        judgement=judgement,
    )
    rows += list_skipped(result.skipped, polarity)
    write_micrograph_table(rows, _find_micrograph_table(output))
    return rows


def _find_micrograph_table(output: TableOutput) -> Path:
    """Return the path of the table of the micrographs; each shard has its own."""
    return micrograph_table_file(output.ledger_output, is_folder=output.out.endswith("/"))


def _describe_number(candidates: Picks, labels: LabelSample | None) -> str:
    """Describe the expected number of particles, with its interval."""
    if not len(candidates):
        return "no particles expected"
    count = fit_score_distribution(candidates.score, labels).count
    value, low, high = (f"{float(f'{x:.2g}'):,.0f}" for x in (count.value, count.low, count.high))
    source = "" if labels is not None else " without labels"
    return f"about {value} particles expected, 95 %: {low} to {high}{source}"


def _summarize(
    output: TableOutput, result: PickResult, rows: Sequence[MicrographRow], number: str
) -> str:
    """Summarize the output, with the next step if the picks are candidates.

    Args:
        output: The tables.
        result: The picks in them.
        rows: The table of the micrographs.
        number: Expected number of particles among candidates; empty for selected picks.
    """
    micrographs = format_count(len(result.picks.micrographs), "micrograph")
    where = f"on {micrographs} written to {output.out}"
    empty = sum(row.verdict == Verdict.PROBABLY_EMPTY for row in rows)
    findings = f"; {format_count(empty, 'micrograph')} probably empty" if empty else ""
    findings += f"; see {_find_micrograph_table(output)}"
    if not number:
        return f"{format_count(len(result.picks), 'pick', grouped=True)} {where}{findings}"
    following = f"next: cryopick threshold {output.out} -o selected.star --at auto"
    candidates = format_count(len(result.picks), "candidate", grouped=True)
    return f"{candidates} ({number}) {where}{findings}; {following}"


def _collect_metadata(
    job: PickJob,
    result: PickResult,
    rows: Sequence[MicrographRow],
    settings_text: str,
    device: AnyDevice,
) -> RunMetadata:
    """Collect the metadata of the run, without the findings and the scores of labels."""
    metadata = job.stopwatch.collect_metadata(
        micrographs=job.micrographs,
        files={"model": job.model if isinstance(job.model, Path) else None, **job.files},
        device=str(device),
        skipped=[str(path) for path in result.skipped],
    )
    sizes = {row.pixel_size_ang for row in rows if row.pixel_size_ang is not None}
    return replace(
        metadata,
        settings=settings_text,
        pixel_sizes_ang=sorted(sizes),
        polarity=rows[0].polarity if rows else "",
    )
