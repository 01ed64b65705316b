"""External jobs of cryoSPARC, with a fake client."""

import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from tests import tiny

from cryopick.clients.cryosparc import JobSettings, connect, pick_job
from cryopick.errors import InputError, SettingsError
from cryopick.picks import Picks, concatenate
from cryopick.workflows.events import FileSkipped

WHERE = JobSettings(project="P3", workspace="W1", source="J12", output="accepted")
FIELDS = {
    "uid": "u8",
    "location/micrograph_uid": "u8",
    "location/exp_group_id": "u4",
    "location/micrograph_path": "O",
    "location/micrograph_shape": "2u4",
    "location/center_x_frac": "f4",
    "location/center_y_frac": "f4",
    "pick_stats/ncc_score": "f4",
    "pick_stats/power": "f4",
    "pick_stats/template_idx": "u4",
    "pick_stats/angle_rad": "f4",
}  # as an older cryoSPARC has them: without micrograph_psize_A


class Rows(dict):
    """Columns of one length."""

    def __len__(self):
        return len(next(iter(self.values())))


class Client:
    """Fake client, project and job that records calls."""

    uid = "J99"

    def __init__(self, folder, names, shape=(96, 112)):
        self.dir = folder  # a method in version 4: see below
        self.names, self.shape = names, shape
        self.calls, self.saved, self.logged, self.state = [], {}, [], "building"

    def find_project(self, name):
        self.calls.append(("project", name))
        return self

    def create_external_job(self, workspace, title):
        self.calls.append(("job", workspace))
        return self

    def add_input(self, kind, name, min, slots):
        self.calls.append(("input", kind, name, *slots))

    size_steps_ang = 0  # difference of the pixel sizes of successive exposures

    def connect(self, name, source, output):
        self.calls.append(("connect", name, source, output))

    def add_output(self, kind, name, slots):
        self.calls.append(("output", kind, name, *slots))

    @contextmanager
    def run(self):
        self.state = "running"
        try:
            yield self
        except BaseException:
            self.state = "failed"
            raise
        self.state = "completed"

    def load_input(self, name, slots):
        assert self.state == "running"
        count = len(self.names)
        return Rows(
            {
                "uid": np.arange(7, 7 + count, dtype=np.uint64),
                "micrograph_blob/path": np.array(self.names, dtype=object),
                "micrograph_blob/shape": np.tile(np.array(self.shape, np.uint32), (count, 1)),
                "micrograph_blob/psize_A": np.full(count, 10, np.float32)
                + self.size_steps_ang * np.arange(count, dtype=np.float32),
            }
        )

    def alloc_output(self, name, count):
        return Rows({field: np.zeros(count, kind) for field, kind in FIELDS.items()})

    def save_output(self, name, rows):
        self.saved[name] = rows

    def log(self, text, level):
        self.logged.append((level, text))


def found(picks):
    """Create a function that picks given positions by the name of the micrograph."""

    def pick(paths, events):
        tables = []
        for path in paths:
            if picks[path.name] is None:
                events.emit(FileSkipped(path=path, reason="cannot be used"))
                continue
            xy = np.array(picks[path.name], dtype=float).reshape(-1, 2)
            scores = np.arange(len(xy), dtype=float)
            tables.append(Picks.for_micrograph(str(path), xy, scores))
        return concatenate(tables)

    return pick


def test_picks_become_fractions_of_the_micrograph_with_scores_in_cryosparc_columns(tmp_path):
    client = Client(tmp_path, ["J12/a.mrc", "J12/b.mrc"])

    told = pick_job(client, WHERE, found({"a.mrc": [[28, 24]], "b.mrc": [[56, 72], [0, 0]]}))

    rows = client.saved["picked"]
    assert told == ("J99", 3)
    assert client.state == "completed"
    np.testing.assert_allclose(rows["location/center_x_frac"], [0.25, 0.5, 0])  # of 112 columns
    np.testing.assert_allclose(rows["location/center_y_frac"], [0.25, 0.75, 0])  # of 96 rows
    assert rows["location/micrograph_shape"].tolist() == [[96, 112]] * 3
    assert rows["location/micrograph_uid"].tolist() == [7, 8, 8]
    assert rows["location/micrograph_path"].tolist() == ["J12/a.mrc", "J12/b.mrc", "J12/b.mrc"]
    assert rows["pick_stats/ncc_score"].tolist() == rows["pick_stats/power"].tolist() == [0, 0, 1]
    assert set(rows) == set(FIELDS)


def test_each_exposure_has_the_pixel_size_that_cryosparc_states(tmp_path):
    client = Client(tmp_path, ["a.mrc", "b.mrc"])
    client.size_steps_ang = 2
    sizes_ang = []

    def pick(paths, events):
        sizes_ang.extend(path.pixel_size_ang for path in paths)
        return found({"a.mrc": [[1, 1]], "b.mrc": []})(paths, events)

    pick_job(client, WHERE, pick)

    assert sizes_ang == [10, 12]


def test_the_job_is_created_in_the_given_workspace(tmp_path):
    client = Client(tmp_path, ["a.mrc"])

    pick_job(client, WHERE, found({"a.mrc": []}))

    assert ("project", "P3") in client.calls
    assert ("job", "W1") in client.calls
    assert ("connect", "exposures", "J12", "accepted") in client.calls
    assert ("output", "particle", "picked", "location", "pick_stats") in client.calls
    assert len(client.saved["picked"]) == 0


def test_an_unusable_exposure_is_reported_and_skipped(tmp_path):
    client = Client(tmp_path, ["a.mrc", "b.mrc"])

    pick_job(client, WHERE, found({"a.mrc": None, "b.mrc": [[1, 1]]}))

    assert client.saved["picked"]["location/micrograph_uid"].tolist() == [8]
    assert client.logged == [("warning", f"skipped {tmp_path / 'a.mrc'}: cannot be used")]


@pytest.mark.parametrize("names", [["a.mrc"], []])
def test_a_job_without_any_usable_exposure_fails(names, tmp_path):
    client = Client(tmp_path, names)

    with pytest.raises(InputError, match="J12"):
        pick_job(client, WHERE, found({"a.mrc": None}))

    assert client.state == "failed"
    assert not client.saved


def test_the_folder_of_a_version_4_project_is_called(tmp_path):
    client = Client(tmp_path, ["a.mrc"])
    client.dir = lambda: tmp_path
    seen = []

    def pick(paths, events):
        seen.extend(paths)
        return found({"a.mrc": []})(paths, events)

    pick_job(client, WHERE, pick)

    assert seen == [tmp_path / "a.mrc"]


def test_without_cryosparc_tools_the_installation_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryosparc", None)
    monkeypatch.setitem(sys.modules, "cryosparc.tools", None)

    with pytest.raises(SettingsError, match="cryosparc-tools is not installed; install"):
        connect("http://localhost:39000")


def test_the_command_picks_with_a_model(run_words, tmp_path, monkeypatch):
    tiny.micrographs(tmp_path / "mics", 2)
    tiny.model("m.safetensors")
    client = Client(tmp_path, ["mics/mic_0.mrc", "mics/mic_1.mrc"])
    monkeypatch.setattr("cryopick.clients.cryosparc.connect", lambda _: client)

    told = run_words("cryosparc-job P3 W1 J12 --model m.safetensors --threshold -100").output
    run_words("pick mics --model m.safetensors --threshold -100 -o picks.cs")

    rows = client.saved["picked"]
    written = np.load(Path("picks.cs"))
    assert f"{len(rows)} picks saved in job J99 of P3" in told
    np.testing.assert_allclose(rows["location/center_x_frac"], written["location/center_x_frac"])
    np.testing.assert_allclose(rows["location/center_y_frac"], written["location/center_y_frac"])
