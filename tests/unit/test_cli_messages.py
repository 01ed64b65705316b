"""Options of all commands: `--quiet`, `--log-file` and `--json`, and pasteable help."""

import json
import re
import shlex
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cryopick.cli.messages
from cryopick.cli import app, load
from cryopick.cli.app import MODULES

TABLE = "image_name\tx_coord\ty_coord\tscore\na\t1\t2\t0.5\na\t30\t40\t-2\n"


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CRYOPICK_DEBUG", raising=False)
    (tmp_path / "a.tsv").write_text(TABLE)
    return lambda line: CliRunner().invoke(app, shlex.split(line))


def list_commands(group=None, path=()):
    """All commands with their words, those of groups such as `models` included."""
    for name, command in (group or load(MODULES)).items():
        if hasattr(command, "commands"):
            yield from list_commands(command.commands, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(list_commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_options_of_scripts(name):
    options = {word for parameter in COMMANDS[name].params for word in parameter.opts}

    assert options >= {"--quiet", "--log-file", "--json"}


@pytest.mark.parametrize("group", ["", "models", "tomo", "validate"])
def test_no_summary_is_cut_short_in_the_list_of_commands(run, group):
    listed = run(f"{group} --help").stdout.partition("Commands:\n")[2]

    assert len(listed.splitlines()) > 2
    assert "..." not in listed


@pytest.mark.parametrize("name", COMMANDS)
def test_the_usage_line_names_the_arguments_as_the_reference_does(run, name):
    usage = run(f"{name} --help").stdout.partition("\n\n")[0]

    assert "[OPTIONS]" in usage
    assert "{" not in usage
    arguments = [p for p in COMMANDS[name].params if p.param_type_name == "argument"]
    for argument in arguments:
        named = argument.metavar + ("..." if argument.nargs == -1 else "")
        assert (named if argument.required else f"[{named}]") in usage


@pytest.mark.parametrize("name", COMMANDS)
def test_no_option_of_a_command_is_declared_twice(name):
    declared = [
        word
        for parameter in COMMANDS[name].params
        for word in (*parameter.opts, *parameter.secondary_opts)
    ]

    assert sorted(declared) == sorted(set(declared))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_breaks_no_option_name_and_its_example_can_be_pasted(run, name):
    text = run(f"{name} --help").stdout

    assert not re.search(r"--[a-z-]*-\n", text)
    options = {word for parameter in COMMANDS[name].params for word in parameter.opts}
    example = re.search(r"^ *Example:\n +(cryopick .*)$", text, re.MULTILINE)
    assert example, text
    words = shlex.split(example[1])
    inner = words.index("pick") if name == "submit" else len(words)
    given = {word.split("=")[0] for word in words[:inner] if re.match(r"--?[a-z]", word)}
    assert given <= options
    assert words[1 : 1 + len(name.split())] == name.split()


def test_quiet_hides_notes_and_shows_errors(run):
    assert "written to b.tsv" in run("threshold a.tsv -o b.tsv --at 0").stderr
    assert run("threshold a.tsv -o c.tsv --at 0 --quiet").stderr == ""
    assert "already exists" in run("threshold a.tsv -o c.tsv --at 0 -q").stderr


def test_quiet_also_holds_for_messages_of_threads(run, monkeypatch):
    def report_in_a_thread(*_words, **_options):
        thread = threading.Thread(target=cryopick.cli.messages.note, args=["from a thread"])
        thread.start()
        thread.join()

    monkeypatch.setattr("cryopick.cli.threshold.write_table", report_in_a_thread)

    assert "from a thread" in run("threshold a.tsv -o b.tsv --at 0").stderr
    assert run("threshold a.tsv -o b.tsv --at 0 --quiet").stderr == ""


def test_the_log_of_several_commands_has_commands_messages_and_statuses(run, tmp_path):
    run("threshold a.tsv -o b.tsv --at 0 --quiet --log-file logs/all.log")
    run("threshold a.tsv -o b.tsv --at 0 --log-file logs/all.log")

    lines = (tmp_path / "logs" / "all.log").read_text().splitlines()
    texts = [re.sub(r"^[-0-9]{10} [:0-9]{8} ", "", line) for line in lines]
    assert re.match(r"note    cryopick \S+: cryopick threshold a.tsv -o b.tsv --at 0 -", texts[0])
    assert texts[1].startswith("note    ")
    assert any(re.match(r"note    1 particle on 1 micrograph written to", text) for text in texts)
    assert [re.sub(r"[\d.]+ s$", "", text) for text in texts if "exit status" in text] == [
        "note    exit status 0 after ",
        "note    exit status 1 after ",
    ]
    assert any(text.startswith("error   cryopick: error: b.tsv: already") for text in texts)


def test_a_log_file_that_cannot_be_written_is_a_usage_error(run, tmp_path):
    result = run(f"threshold a.tsv -o b.tsv --at 0 --log-file {tmp_path}")

    assert result.exit_code == 2
    assert "is a folder" in " ".join(result.stderr.split())
    assert not (tmp_path / "b.tsv").exists()


def test_a_report_as_json_lists_outputs_messages_and_results(run):
    result = run("threshold a.tsv -o b.tsv --at 0 --json")

    report = json.loads(result.stdout)
    assert report["command"] == ["cryopick", *shlex.split("threshold a.tsv -o b.tsv --at 0 --json")]
    assert (report["status"], report["outputs"]) == (0, ["b.tsv", "b.run.json"])
    assert report["results"] == {"picks": 1, "micrographs": 1}
    assert {message["level"] for message in report["messages"]} == {"note"}


def test_simulated_and_split_micrographs_are_counted_in_the_report(run):
    simulated = run(
        "simulate data --count 4 --width-px 128 --height-px 128 --pixel-size-ang 6 "
        "--particles 3 --clean --json"
    )
    divided = run("split data/particles.tsv -o parts --folds 2 --json")

    results = json.loads(simulated.stdout)["results"]
    assert results["micrographs"] == 4
    assert 4 <= results["particles"] <= 12
    parts = json.loads(divided.stdout)["results"]["splits"]
    assert [(part["folder"], part["train"], part["test"]) for part in parts] == [
        ("parts/fold1", 2, 2),
        ("parts/fold2", 2, 2),
    ]


def test_a_report_as_json_of_a_failure_has_the_error_and_the_status(run):
    result = run("threshold none.tsv -o b.tsv --at 0 --json --quiet")

    report = json.loads(result.stdout)
    assert (result.exit_code, report["status"], report["outputs"]) == (1, 1, [])
    assert report["messages"][-1]["level"] == "error"
    assert "none.tsv: no such file" in report["messages"][-1]["text"]


@pytest.mark.parametrize(
    ("line", "output"),
    [
        ("convert a.tsv -o blocked/b.tsv", "blocked/b.tsv"),
        ("preprocess a.mrc -o blocked/small --factor 2", "blocked/small"),
        ("submit --scheduler slurm -s blocked/j.sh pick a.mrc -o p.star", "blocked/j.sh"),
    ],
)
def test_an_output_that_cannot_be_written_is_named_without_temporary_files(
    run, monkeypatch, tmp_path, line, output
):
    import numpy as np

    from cryopick.io.images.mrc import write_mrc

    write_mrc(tmp_path / "a.mrc", np.eye(64, dtype=np.float32), pixel_size_ang=(1.0, 1.0))
    (tmp_path / "blocked").mkdir()
    make_folder, open_file = Path.mkdir, Path.open

    def refuse(path):
        if "blocked" in str(path) and path.name != "blocked":
            raise PermissionError(13, "Permission denied", str(path))

    def mkdir(self, *words, **options):
        refuse(self)
        return make_folder(self, *words, **options)

    def open_refusing(self, mode="r", *words, **options):
        if "w" in mode:
            refuse(self)
        return open_file(self, mode, *words, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    monkeypatch.setattr(Path, "open", open_refusing)

    result = run(line)

    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        1,
        f"cryopick: error: {output}: Permission denied",
    )


def test_an_interrupt_of_a_resumable_command_says_how_to_continue(run, monkeypatch):
    def interrupt(*_words, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("cryopick.io.inputs.find_micrographs", interrupt)

    result = run("preprocess a.mrc -o small --factor 2")

    assert result.exit_code == 130
    assert result.stderr == "cryopick: interrupted; run the same command again to continue\n"


@pytest.mark.parametrize("name", sorted(set(MODULES.values())))
def test_commands_report_through_messages(name):
    source = Path(cryopick.cli.messages.__file__).with_name(f"{name}.py").read_text()

    assert "err=True" not in source, "use note or warn of cryopick.cli.messages"
