"""Addresses of training, picking and what came of it.

- `runs_routes`: `/api/plan`, `/api/runs…`, `/api/review`, `/api/verdicts`.
"""

from dataclasses import asdict, replace
from typing import Annotated, Any, ClassVar, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from cryopick.errors import InputError
from cryopick.web.api.annotations import author_of
from cryopick.web.jobs.commands import PRESETS, TrainForm
from cryopick.web.jobs.training_plan import plan, scale_problem
from cryopick.web.project.measures import measured, review
from cryopick.web.project.project import Desk
from cryopick.web.project.reviews import NewCut, Score, Verdict

__all__ = ["runs_routes"]


class NewRun(BaseModel):
    """A run to begin."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    kind: Literal["train", "pick", "suggest"] = "train"
    diameter_ang: Annotated[float, Field(ge=5, le=1e5, allow_inf_nan=False)]
    particles_per_micrograph: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] | None = (
        None
    )
    preset: str = "usual"
    pick: bool = True


class Judgements(BaseModel):
    """What a person says of several picks."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    verdicts: list[Verdict] = Field(max_length=1000)


def runs_routes(desk: Desk) -> APIRouter:
    """The addresses, for one project."""
    routes = APIRouter()

    @routes.get("/plan")
    def planned() -> dict[str, Any]:
        return plan(desk)

    @routes.post("/runs")
    def begin(wanted: NewRun) -> dict[str, Any]:
        desk.store.set_meta("diameter_ang", repr(wanted.diameter_ang))
        if wanted.kind != "train":
            problem = scale_problem(desk)
            if problem:
                raise InputError(problem)
            order = desk.orders.pick if wanted.kind == "pick" else desk.orders.suggest
            return desk.jobs.queue(order(wanted.diameter_ang))
        if wanted.preset not in PRESETS:
            raise InputError("choose how long to train")
        known = plan(desk)
        if known["refusal"]:
            raise InputError(known["refusal"])
        number = wanted.particles_per_micrograph or known["estimate"]
        if number is None:
            raise InputError(
                "say about how many particles are on a micrograph, or mark all on one and tick "
                "that they are"
            )
        form = TrainForm(
            diameter_ang=wanted.diameter_ang,
            particles_per_micrograph=number,
            preset=wanted.preset,
            pick=wanted.pick,
            held_out=known["held_out"],
        )
        return desk.jobs.queue(desk.orders.train(form))

    @routes.get("/runs")
    def runs() -> dict[str, Any]:
        return {"runs": [desk.jobs.shown(row) for row in desk.runs.all()]}

    @routes.get("/runs/{run}")
    def one(run: str) -> dict[str, Any]:
        return desk.jobs.shown(desk.runs.one(run))

    @routes.post("/runs/{run}:stop")
    def stop(run: str) -> dict[str, Any]:
        return desk.jobs.stop(run)

    @routes.post("/runs/{run}:resume")
    def resume(run: str) -> dict[str, Any]:
        return desk.jobs.resume(run)

    @routes.delete("/runs/{run}")
    def drop(run: str) -> dict[str, Any]:
        if desk.runs.one(run)["state"] == "running":
            raise InputError("stop it first")
        desk.runs.delete(run)
        return {"deleted": run}

    @routes.get("/runs/{run}/histogram")
    def histogram(run: str) -> dict[str, Any]:
        return desk.runs.histogram(run)

    @routes.get("/runs/{run}/counts")
    def counts(run: str, t: Annotated[Score, Query()]) -> dict[str, Any]:
        return desk.runs.counts_at(run, t)

    @routes.put("/runs/{run}/threshold")
    def cut(run: str, wanted: NewCut) -> dict[str, Any]:
        desk.runs.set_cut(run, replace(desk.runs.cut(run), **wanted.model_dump()))
        return asdict(desk.runs.cut(run))

    @routes.get("/runs/{run}/pr")
    def known(run: str) -> dict[str, Any]:
        return measured(desk, run)

    @routes.get("/review")
    def queue(
        run: Annotated[str, Query(max_length=64)],
        kind: Literal["uncertain", "disagree", "random"] = "uncertain",
        k: Annotated[int, Query(ge=1, le=500)] = 30,
    ) -> dict[str, Any]:
        return {"items": review(desk, run, kind, k), "drawn": asdict(desk.runs.cut(run))}

    @routes.post("/verdicts")
    def judge(said: Judgements, request: Request) -> dict[str, Any]:
        desk.verdicts.say(said.verdicts, author_of(request))
        return {"kept": len(said.verdicts)}

    return routes
