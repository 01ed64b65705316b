"""The application: exit status, one-line errors, nothing heavy at import."""

import inspect
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cryopick.cli
from cryopick.cli import app, load
from cryopick.cli.app import MODULES, main
from cryopick.errors import InputError

HEAVY = ("torch", "scipy", "matplotlib", "gemmi", "mrcfile", "PIL", "tifffile", "numpy", "rich")
FOLDER = Path(cryopick.cli.__file__).parent
REGISTERS = re.compile(r"^from cryopick\.cli\.app import (.*, )?app\b", re.MULTILINE)


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CRYOPICK_DEBUG", raising=False)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def failing(monkeypatch):
    """Make `cryopick info` fail with a given exception."""

    def fail_with(error):
        def fail(_paths):
            raise error

        monkeypatch.setattr("cryopick.cli.info._list_files", fail)

    return fail_with


def test_the_command_line_loads_nothing_heavy():
    code = f"import sys, cryopick.cli; print([m for m in {HEAVY} if m in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_every_command_is_defined_in_its_listed_module():
    commands = load()

    for name, module in MODULES.items():
        group = getattr(commands[name], "commands", {name: commands[name]})
        defined_in = {inspect.unwrap(command.callback).__module__ for command in group.values()}
        # A group may define its commands in several modules that begin with its name.
        assert all(path.startswith(f"cryopick.cli.{module}") for path in defined_in)
    assert set(commands) == set(MODULES)
    registering = {path.stem for path in FOLDER.glob("*.py") if REGISTERS.search(path.read_text())}
    modules = set(MODULES.values())
    assert all(stem.startswith(tuple(modules)) for stem in registering - {"__init__"})
    assert all(any(stem.startswith(module) for stem in registering) for module in modules)


def test_a_command_imports_only_its_own_module():
    names = [f"cryopick.cli.{module}" for module in sorted(set(MODULES.values()))]
    code = (
        "import sys; from cryopick.cli import app; app(['split', '-h'], standalone_mode=False); "
        f"print([name for name in {names} if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "['cryopick.cli.split']"


def test_help_lists_all_commands_with_a_summary(run):
    shown = run("--help").stdout.partition("Commands:\n")[2].splitlines()

    assert [line.split()[0] for line in shown] == sorted(MODULES)
    assert "  label             Label, train, review and export in the browser." in shown


def test_a_misspelt_command_gets_a_suggestion():
    done = typed("tarin")

    assert done.returncode == 2
    assert "Did you mean 'train'?" in done.stderr


@pytest.mark.parametrize(
    ("words", "shown"),
    [("cryopick t", "threshold tomo train"), ("cryopick pick --for", "--format --force")],
)
def test_a_shell_completes_commands_and_options(words, shown):
    asked = {"_CRYOPICK_COMPLETE": "complete_bash", "COMP_WORDS": words}

    done = typed(**asked, COMP_CWORD=str(len(words.split()) - 1))

    assert done.stdout.split() == shown.split()


def typed(*words, **environment):
    """Run the command line in a new process, in which nothing is imported yet."""
    code = "from cryopick.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


def test_a_user_error_is_one_line_and_status_1(run, failing):
    failing(InputError("a.mrc: no such\n  file"))

    result = run("info", "a.mrc")

    assert result.exit_code == 1
    assert result.stderr == "cryopick: error: a.mrc: no such file\n"
    assert result.stdout == ""


def test_a_system_error_is_one_line_and_status_1(run, failing):
    failing(PermissionError(13, "Permission denied", "/root/x"))

    result = run("info", "a.mrc")

    assert (result.exit_code, result.stderr) == (
        1,
        "cryopick: error: /root/x: Permission denied\n",
    )


def test_a_bug_is_reported_in_one_line_with_status_70(run, failing):
    failing(ZeroDivisionError("division by zero"))

    result = run("info", "a.mrc")

    assert result.exit_code == 70
    assert result.stderr.startswith("cryopick: bug: ZeroDivisionError: division by zero.")
    assert "CRYOPICK_DEBUG=1" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("how", ["option", "environment"])
def test_debug_shows_the_traceback(run, failing, monkeypatch, how):
    failing(InputError("a.mrc: no such file"))
    if how == "environment":
        monkeypatch.setenv("CRYOPICK_DEBUG", "1")

    result = run(*(["--debug"] if how == "option" else []), "info", "a.mrc")

    assert isinstance(result.exception, InputError)


def test_an_interrupt_is_one_line_and_status_130(run, failing):
    failing(KeyboardInterrupt())

    result = run("info", "a.mrc")

    assert (result.exit_code, result.stderr) == (130, "cryopick: interrupted\n")


@pytest.mark.parametrize(
    "words",
    [
        ["inof"],
        ["info"],
        ["info", "a.mrc", "--colour"],
        ["evaluate", "a.tsv", "b.tsv"],
        ["evaluate", "a.tsv", "b.tsv", "--radius-px", "x"],
        ["evaluate", "a.tsv", "b.tsv", "--diameter-ang", "100"],
        ["evaluate", "a.tsv", "b.tsv", "--diameter-ang", "100", "--pixel-size-ang", "0"],
        ["evaluate", "a.tsv", "b.tsv", "--diameter-ang", "100", "--radius-px", "3"],
        ["threshold", "a.tsv", "-o", "b.tsv"],
        ["threshold", "a.tsv", "-o", "b.tsv", "--at", "1", "--keep", "2"],
        ["split", "a.tsv", "-o", "parts"],
        ["split", "a.tsv", "-o", "parts", "--number", "1", "--folds", "2"],
    ],
)
def test_a_usage_error_has_status_2(run, words):
    result = run(*words)

    assert result.exit_code == 2
    assert "Traceback" not in result.stderr


def test_the_version_is_on_stdout(run):
    result = run("--version")

    assert result.exit_code == 0
    assert result.stdout.startswith("cryopick 0.")


def test_the_entry_point_ends_the_process_with_the_status(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["cryopick", "info", "nothing.mrc"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 1
    assert "nothing.mrc: no such file" in capsys.readouterr().out


def test_a_closed_pipe_prints_no_error(tmp_path):
    table = tmp_path / "a.tsv"
    table.write_text("image_name\tx_coord\ty_coord\na\t1\t2\n")
    code = "from cryopick.cli import main; main()"
    command = [sys.executable, "-c", code, "info", *[str(table)] * 3]
    reader, writer = os.pipe()
    os.close(reader)

    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)

    os.close(writer)
    assert done.stderr == ""
    assert done.returncode in (1, -signal.SIGPIPE)


def test_the_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "cryopick", "--version"], capture_output=True, text=True, check=True
    )

    assert done.stdout.startswith("cryopick 0.")
