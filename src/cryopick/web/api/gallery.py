"""Routes of the gallery, the wall of thumbnails, and tiles at full resolution.

- `create_gallery_routes`: `/api/gallery`, `/api/crops`, `/api/micrographs/{mid}/tile`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from cryopick.errors import InputError
from cryopick.web.api.data import Angstrom, Number
from cryopick.web.project.gallery import GalleryQuery, PickGallery
from cryopick.web.project.project import AnnotationProject
from cryopick.web.storage.reviews import Score
from cryopick.web.storage.tiles import Crop, SheetLayout, TileRequest

__all__ = ["create_gallery_routes"]

_MAX_CROPS = 100
_CACHEABLE = {"Cache-Control": "private, max-age=86400"}
Run = Annotated[str, Query(max_length=64)]


def create_gallery_routes(project: AnnotationProject) -> APIRouter:
    """Create the routes of crops of all picks, and of tiles."""
    routes = APIRouter()
    gallery = PickGallery(project)

    @routes.get("/gallery")
    def list_items(  # noqa: PLR0913  # one parameter for each field of the query
        run: Run = "",
        order: Literal["score-desc", "score-asc", "threshold", "disagreement"] = "score-desc",
        other: Run = "",
        t: Annotated[Score, Query()] = 0.0,
        selected: bool = False,
        show: Literal["open", "pos", "neg", "all"] = "all",
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    ) -> dict[str, Any]:
        query = GalleryQuery(run, order, other, t, selected, show)
        return gallery.list_items(query, offset, limit)

    @routes.get("/crops")
    def sheet(
        at: Annotated[str, Query(max_length=8000)],
        side: Annotated[int, Query(ge=4, le=2048)],
        cell: Annotated[int, Query(ge=16, le=256)] = 96,
        columns: Annotated[int, Query(ge=1, le=50)] = 10,
        lp: Annotated[Angstrom | None, Query()] = None,
    ) -> Response:
        crops = _parse_crops(project, at)
        layout = SheetLayout(side, cell, min(columns, len(crops)), lp)
        jpeg = project.images.render_sheet(crops, layout)
        return Response(jpeg, media_type="image/jpeg", headers=_CACHEABLE)

    @routes.get("/micrographs/{mid}/tile")
    def tile(
        mid: Number,
        x: Annotated[int, Query(ge=0, le=10**6)],
        y: Annotated[int, Query(ge=0, le=10**6)],
        factor: Annotated[int, Query(ge=1, le=2)] = 1,
        lp: Annotated[Angstrom | None, Query()] = None,
        hp: Annotated[Angstrom | None, Query()] = None,
    ) -> Response:
        row = project.micrographs.find(mid)
        request = TileRequest(
            x,
            y,
            factor=factor,
            pixel_size_ang=row["pixel_size_ang"],
            low_pass_ang=lp,
            high_pass_ang=hp,
        )
        jpeg = project.images.render_tile(Path(row["path"]), request)
        return Response(jpeg, media_type="image/jpeg")

    return routes


def _parse_crops(project: AnnotationProject, text: str) -> list[Crop]:
    """Parse "micrograph:x:y,micrograph:x:y…".

    Raises:
        InputError: The text has another form, or names too many crops.
    """
    parts = [part.split(":") for part in text.split(",")]
    if not 0 < len(parts) <= _MAX_CROPS:
        raise InputError(f"ask for 1 to {_MAX_CROPS} crops")
    try:
        positions = [(int(mid), float(x), float(y)) for mid, x, y in parts]
    except ValueError:
        raise InputError("crops are given as micrograph:x:y, separated by commas") from None
    if any(not (abs(x) <= 1e6 and abs(y) <= 1e6 and 0 <= mid < 2**62) for mid, x, y in positions):
        raise InputError("a crop lies outside any micrograph")
    rows = {mid: project.micrographs.find(mid) for mid in {position[0] for position in positions}}
    return [
        Crop(Path(rows[mid]["path"]), x, y, rows[mid]["pixel_size_ang"]) for mid, x, y in positions
    ]
