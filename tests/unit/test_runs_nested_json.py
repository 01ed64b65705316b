"""Files of runs with thousands of nested lists are damaged files, never a bug."""

import json

import pytest

from cryopick.errors import CryopickError, FormatError
from cryopick.experiments.results import read_record
from cryopick.io.tables.pick_tables import read_picks
from cryopick.io.tables.region_files import read_regions
from cryopick.runs.ledger import Ledger
from cryopick.runs.metadata import read_run_metadata
from cryopick.workflows.progress_file import read_progress

NESTED = "[" * 100_000


@pytest.mark.parametrize("read", [read_run_metadata, read_regions, read_picks, read_record])
@pytest.mark.parametrize("text", [NESTED, f'{{"command": {NESTED}', '{"a":' * 100_000])
def test_nested_values_are_refused(tmp_path, read, text):
    path = tmp_path / "a.json"
    path.write_text(text)

    with pytest.raises(FormatError):
        read(path)


def test_nested_lines_of_a_progress_file_are_passed_over(tmp_path):
    path = tmp_path / "progress.jsonl"
    path.write_text(f'{NESTED}\n{{"event": "a"}}\n')

    assert read_progress(path) == [{"event": "a"}]


def test_a_ledger_with_a_nested_description_starts_again(tmp_path):
    import zipfile

    ledger = Ledger.for_output(tmp_path / "a.star", ["x"])
    for description in (
        NESTED,
        "3",
        "[1]",
        json.dumps({"work": ledger.work})[:-1] + f',"a":{NESTED}',
    ):
        with zipfile.ZipFile(ledger.archive, "w") as packed:
            packed.writestr("about.json", description)

        with ledger.start([tmp_path / "a.star"], overwrite=False) as source:
            assert source == ""


def test_checkpoints_and_models_with_nested_notes_are_damaged(tmp_path):
    import numpy as np
    from safetensors.numpy import save_file

    from cryopick.cli.models import describe_model
    from cryopick.train.checkpoint import is_readable

    path = tmp_path / "a.safetensors"
    save_file({"w": np.zeros(1)}, path, {"cryopick": NESTED, "cryopick-run": NESTED})

    assert not is_readable(path)
    with pytest.raises(CryopickError):
        describe_model(path)
