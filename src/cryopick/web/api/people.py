"""Routes of the people who label.

- `create_people_routes`: `/api/people`, `/api/me`.
"""

from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from cryopick.web.api.annotations import author_of
from cryopick.web.project.project import AnnotationProject
from cryopick.web.storage.file_names import escape_name
from cryopick.web.storage.people import list_people, measure_agreement, set_name

__all__ = ["create_people_routes"]


class NameRequest(BaseModel):
    """Name of the person who uses a browser."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    name: Annotated[str, Field(min_length=1, max_length=60)]


def create_people_routes(project: AnnotationProject) -> APIRouter:
    """Create the routes of names and agreement."""
    routes = APIRouter()

    @routes.get("/people")
    def people(request: Request) -> dict[str, Any]:
        return {
            "me": author_of(request),
            "people": list_people(project.database),
            "agreement": measure_agreement(project.database, project.corrections),
        }

    @routes.put("/me")
    def rename(request: NameRequest, http_request: Request) -> dict[str, Any]:
        name = escape_name(request.name.strip())
        set_name(project.database, author_of(http_request), name)
        project.event_stream.send("people", {})
        return {"name": name}

    return routes
