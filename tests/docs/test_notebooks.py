"""The notebooks run from top to bottom, and what they show is what was committed."""

import nbformat
import pytest
from nbclient import NotebookClient
from tests.docs import markdown

NOTEBOOKS = sorted((markdown.ROOT / "docs" / "notebooks").glob("*.ipynb"))


def printed(notebook):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return [output["text"] for output in outputs if output["output_type"] == "stream"]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    before = printed(notebook)

    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": tmp_path}}).execute()

    after = printed(notebook)
    assert len(after) == len(before) > 0
    precisions = [float(text.split()[-1]) for text in after if "average precision" in text]
    assert min(precisions) > 0.7
