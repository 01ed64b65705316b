"""Fixtures that several files of unit tests share.

What they need is imported when they are used.
"""

import sys
import types
from pathlib import Path

import pytest


@pytest.fixture
def topaz(monkeypatch, tmp_path, capsys):
    """Run a topaz command line in a folder of its own, check its status, give stdout and stderr."""
    from cryopick.clients.topaz_cli.app import run_words

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRYOPICK_WORKER", "0")
    monkeypatch.delenv("CRYOPICK_DEBUG", raising=False)

    def run(line, status=0):
        found = run_words(line.split(), "topaz")
        told = capsys.readouterr()
        assert found == status, told.err
        return told

    return run


@pytest.fixture
def mics(tmp_path):
    from tests import tiny

    (tmp_path / "mics").mkdir()
    tiny.micrographs(tmp_path / "mics", 3)
    return tmp_path / "mics"


@pytest.fixture
def saved_whole(monkeypatch):
    """Save a network as PyTorch does, its classes under the names of the original's modules."""
    import torch
    from tests.topaz_networks import Block, Features, Pair, Scored

    names = {Scored: "topaz.model.classifier", Block: "topaz.model.features.resnet"}
    names |= dict.fromkeys((Features, Pair), names[Block])

    def save(made, path, **options):
        for kind, name in names.items():
            parts = name.split(".")
            for end in range(1, len(parts) + 1):
                package = ".".join(parts[:end])
                if package not in sys.modules:
                    monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
            setattr(sys.modules[name], kind.__qualname__, kind)
            monkeypatch.setattr(kind, "__module__", name)
        torch.save(made, path, **options)
        monkeypatch.undo()
        return path

    return save


@pytest.fixture
def project(tmp_path):
    """A labelling project with three micrographs."""
    from tests import tiny

    from cryopick.web.project.project import AnnotationProject

    tiny.micrographs(tmp_path / "mics", 3)
    open_project = AnnotationProject.open(tmp_path / "p.cryopick")
    open_project.micrographs.add([str(tmp_path / "mics")])
    yield open_project
    open_project.close()


@pytest.fixture
def client(project):
    """A client of the labelling project's server that acts as the page."""
    from fastapi.testclient import TestClient

    from cryopick.web.api.access_control import Credentials
    from cryopick.web.server import create_application

    credentials = Credentials(frozenset({"testserver"}), "cryopick_1", token="t")
    return TestClient(
        create_application(project, credentials),
        headers={"Authorization": "Bearer t", "X-Cryopick": "1"},
        raise_server_exceptions=True,
    )


@pytest.fixture
def run_and_plot(run_words):
    """Return `run_words` in a folder with three micrographs in mics/ and their labels.tsv."""
    from tests import tiny

    Path("mics").mkdir()
    tiny.micrographs("mics")
    return run_words


@pytest.fixture
def run(run_and_plot, monkeypatch):
    """Run commands like `run_and_plot`, without plotting, which would take most of the time."""
    monkeypatch.setattr("cryopick.report.training.plot_training", lambda *_: None)
    return run_and_plot
