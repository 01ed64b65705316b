"""Routes of training and picking runs, and of their picks.

- `create_run_routes`: `/api/plan`, `/api/runs…`: start, list, stop, resume and delete runs.
- `create_pick_routes`: thresholds, metrics and reviews of the picks of a run.
"""

from dataclasses import asdict, replace
from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from cryopick.errors import InputError
from cryopick.web.api.annotations import author_of
from cryopick.web.jobs.commands import PRESETS, TrainingRequest
from cryopick.web.project.measures import choose_picks_to_review, measure_run
from cryopick.web.project.project import AnnotationProject
from cryopick.web.project.run_comparison import compare_runs
from cryopick.web.project.training_plan import check_pixel_sizes, plan_training
from cryopick.web.storage.candidates import list_candidates
from cryopick.web.storage.deleted_runs import delete_run, restore_run
from cryopick.web.storage.reviews import FilterChange, PickVerdict, Score

__all__ = ["create_pick_routes", "create_run_routes"]


class RunRequest(BaseModel):
    """A run to start."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    kind: Literal["train", "pick", "suggest", "size"] = "train"
    diameter_ang: Annotated[float, Field(ge=5, le=1e5, allow_inf_nan=False)] | None = None
    particles_per_micrograph: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] | None = (
        None
    )
    preset: str = "usual"
    pick: bool = True
    first: Annotated[int, Field(ge=0, le=2**62)] | None = None  # micrograph to pick first


class VerdictBatch(BaseModel):
    """Verdicts of one person on several picks."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    verdicts: list[PickVerdict] = Field(max_length=1000)


def create_run_routes(project: AnnotationProject) -> APIRouter:
    """Create the routes that start, list, stop, resume and delete runs."""
    routes = APIRouter()

    @routes.get("/plan")
    def plan() -> dict[str, Any]:
        return plan_training(project)

    @routes.post("/runs")
    def start(request: RunRequest) -> dict[str, Any]:
        if request.kind != "size":
            project.database.set_meta("diameter_ang", repr(_require_diameter(request)))
        return project.jobs.enqueue(_create_run(project, request))

    @routes.get("/runs")
    def list_runs() -> dict[str, Any]:
        return {"runs": [project.jobs.describe(row) for row in project.runs.list_all()]}

    @routes.get("/runs/{run}")
    def show(run: str) -> dict[str, Any]:
        return project.jobs.describe(project.runs.find(run))

    @routes.post("/runs/{run}:stop")
    def stop(run: str) -> dict[str, Any]:
        return project.jobs.stop(run)

    @routes.post("/runs/{run}:resume")
    def resume(run: str) -> dict[str, Any]:
        return project.jobs.resume(run)

    @routes.delete("/runs/{run}")
    def delete(run: str, permanently: bool = False) -> dict[str, Any]:
        delete_run(project.database, project.runs, run, permanently=permanently)
        project.event_stream.send("runs", {})
        return {"deleted": run}

    @routes.post("/runs/{run}:restore")
    def restore(run: str) -> dict[str, Any]:
        restore_run(project.database, project.runs, run)
        project.event_stream.send("runs", {})
        return project.jobs.enqueue(run)

    return routes


def _require_diameter(request: RunRequest) -> float:
    """Return the particle diameter of a request.

    Raises:
        InputError: The request has none.
    """
    if request.diameter_ang is None:
        raise InputError("the particle diameter is missing; measure a particle, or estimate it")
    return request.diameter_ang


def _create_run(project: AnnotationProject, request: RunRequest) -> str:
    """Create the run that was requested, and return its name.

    Raises:
        InputError: The project does not contain what the run needs.
    """
    if request.kind != "train":
        problem = check_pixel_sizes(project)
        if problem:
            raise InputError(problem)
        planner = project.planner
        if request.kind == "size":
            diameter = project.database.meta("diameter_ang")
            return planner.plan_size(float(diameter) if diameter else None)
        if request.kind == "pick":
            return planner.plan_picking(_require_diameter(request), request.first)
        return planner.plan_suggestion(_require_diameter(request))
    if request.preset not in PRESETS:
        raise InputError("choose how long to train")
    plan = plan_training(project)
    if plan["refusal"]:
        raise InputError(plan["refusal"])
    training = TrainingRequest(
        diameter_ang=_require_diameter(request),
        particles_per_micrograph=request.particles_per_micrograph or plan["estimate"],
        preset=request.preset,
        pick=request.pick,
        held_out=plan["held_out"],
    )
    return project.planner.plan_training(training)


def create_pick_routes(project: AnnotationProject) -> APIRouter:
    """Create the routes of thresholds, metrics and reviews."""
    routes = APIRouter()

    @routes.get("/runs/{run}/histogram")
    def histogram(run: str) -> dict[str, Any]:
        return project.corrections.histogram(run)

    @routes.get("/runs/{run}/counts")
    def counts(run: str, t: Annotated[Score, Query()]) -> dict[str, Any]:
        return project.corrections.counts_at(run, t)

    @routes.put("/runs/{run}/threshold")
    def set_threshold(run: str, change: FilterChange) -> dict[str, Any]:
        pick_filter = replace(project.runs.pick_filter(run), **change.model_dump())
        project.runs.set_pick_filter(run, pick_filter)
        project.corrections.store_counts(run)
        return asdict(project.runs.pick_filter(run))

    @routes.get("/runs/{run}/pr")
    def metrics(run: str) -> dict[str, Any]:
        return measure_run(project, run)

    @routes.get("/runs/{run}/candidates")
    def candidates(run: str, k: Annotated[int, Query(ge=1, le=500)] = 30) -> dict[str, Any]:
        project.runs.find(run)
        items = list_candidates(*(project.runs, project.micrographs, project.corrections, run, k))
        return {"items": items}

    @routes.get("/comparison")
    def comparison() -> dict[str, Any]:
        return compare_runs(project)

    @routes.get("/review")
    def list_picks_to_review(
        run: Annotated[str, Query(max_length=64)],
        kind: Literal["uncertain", "disagree", "random"] = "uncertain",
        k: Annotated[int, Query(ge=1, le=500)] = 30,
    ) -> dict[str, Any]:
        items = choose_picks_to_review(project, run, kind, k)
        return {"items": items, "drawn": asdict(project.runs.pick_filter(run))}

    @routes.post("/verdicts")
    def save_verdicts(batch: VerdictBatch, request: Request) -> dict[str, Any]:
        project.verdicts.save(batch.verdicts, author_of(request))
        return {"kept": len(batch.verdicts)}

    return routes
