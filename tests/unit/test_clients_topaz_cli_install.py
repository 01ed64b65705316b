"""Topaz-compatible command line: the scripts that clients look for."""

import shutil
import subprocess
import sys

import pytest

from cryopick.clients.topaz_cli.app import run_words
from cryopick.clients.topaz_cli.install import SCRIPTS

OLDER = """\
#!/bin/sh
# starts cryopick for programs that run topaz
exec /gone/python -P -c "import sys" "$@"
"""


def install(folder):
    return run_words(["--install", str(folder)], "cryopick-topaz")


def test_installation_makes_the_folder_and_replaces_older_scripts_of_its_own(tmp_path, capsys):
    folder = tmp_path / "a b" / "$bin"

    assert install(folder) == 0
    text = (folder / "topaz").read_text()
    (folder / "topaz").write_text(OLDER)
    assert install(folder) == 0

    assert sorted(path.name for path in folder.iterdir()) == sorted(SCRIPTS)
    for name in SCRIPTS:
        assert (folder / name).read_text() == text
        assert (folder / name).stat().st_mode & 0o777 == 0o755
    assert str(folder) in capsys.readouterr().err


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("kind", ["script", "link", "folder"])
def test_what_others_have_written_is_not_replaced(name, kind, tmp_path, capsys):
    other = tmp_path / name
    if kind == "script":
        other.write_text("#!/bin/sh\nexec conda run topaz\n")
    elif kind == "link":
        other.symlink_to(tmp_path / "elsewhere")
    else:
        other.mkdir()

    assert install(tmp_path) == 1

    assert f"{other}: exists" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("words", [["--install"], ["--install", "a", "b"], ["--install", "-h"]])
def test_installation_takes_one_folder(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert run_words(words, "cryopick-topaz") == 2

    assert "usage: cryopick-topaz --install DIR" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_scripts_give_the_version_and_nothing_else(name, tmp_path):
    install(tmp_path)

    done = subprocess.run([tmp_path / name, "--version"], capture_output=True, text=True)

    assert (done.stdout, done.stderr, done.returncode) == ("0.3.20\n", "", 0)


def test_the_line_of_the_interpreter_names_it_as_a_client_reads_it(tmp_path, monkeypatch):
    python = tmp_path / "an $odd `place`" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$0" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))

    install(tmp_path / "bin")

    done = subprocess.run(
        [tmp_path / "bin" / "relion_python_topaz", "a b"], capture_output=True, text=True
    )
    first, *_, last = done.stdout.splitlines()
    assert (first, last) == (str(python), "a b")
    monkeypatch.setattr(sys, "executable", shutil.which("sh"))
    install(tmp_path / "bin")
    lines = (tmp_path / "bin" / "relion_python_topaz").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("python_executable="))
    assert line.partition("=")[2].strip('"') == shutil.which("sh")
