"""The notebooks run from top to bottom, and what they show is what was committed."""

import nbformat
import pytest
from nbclient import NotebookClient
from tests.docs import markdown

NOTEBOOKS = sorted((markdown.ROOT / "docs" / "notebooks").glob("*.ipynb"))


# No notebook shows the scores of left-out labels, which take three quarters of a training.
SHORTEN = "from cryopick.train import cross_fit; cross_fit._MAX_STEPS = 4"


def printed(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return [output["text"] for output in outputs if output["output_type"] == "stream"]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    before = printed(notebook)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(SHORTEN))

    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": tmp_path}}).execute()

    after = printed(notebook)
    assert len(after) == len(before) > 0
    precisions = [float(text.split()[-1]) for text in after if "average precision" in text]
    assert min(precisions) > 0.7
