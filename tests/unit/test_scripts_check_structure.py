"""The structure check finds long files and small packages."""

import runpy
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_structure.py"
check = runpy.run_path(str(SCRIPT))


def test_a_file_may_have_350_lines_and_no_more(tmp_path):
    (tmp_path / "long.py").write_text("x = 1\n" * 351)
    (tmp_path / "short.py").write_text("x = 1\n" * 350)
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "other.js").write_text("1;\n" * 1000)

    messages = list(check["too_long"](tmp_path))

    assert [message.split(":")[0] for message in messages] == [str(tmp_path / "long.py")]


def test_a_package_has_three_modules_or_subpackages(tmp_path):
    for name in ("small/__init__.py", "small/a.py", "small/b.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    before = list(check["too_small"](tmp_path))
    (tmp_path / "small" / "c.py").touch()
    after = list(check["too_small"](tmp_path))

    assert len(before) == 1
    assert after == []
