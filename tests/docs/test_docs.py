"""Commands and Python blocks of the documentation run; options and links exist."""

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from tests.docs import markdown
from typer.testing import CliRunner

from cryopick.cli import app, load
from cryopick.clients.topaz_cli.app import COMMANDS as TOPAZ_COMMANDS
from cryopick.clients.topaz_cli.arguments import Parser
from cryopick.train import cross_fit

ROOT = markdown.ROOT
EVERY_PAGE = pytest.mark.parametrize(
    "page", markdown.pages(), ids=lambda page: str(page.relative_to(ROOT))
)


def command_tree(command=None, path=()):
    if command is None:
        load()
        command = typer.main.get_command(app)
    yield path, command
    for name, sub in getattr(command, "commands", {}).items():
        yield from command_tree(sub, (*path, name))


COMMANDS = dict(command_tree())


@pytest.mark.slow
@EVERY_PAGE
def test_commands_and_python_of_a_page_run(page, tmp_path, monkeypatch):
    text = page.read_text(encoding="utf-8")
    if page.is_relative_to(ROOT / "docs" / "results"):
        pytest.skip("results need long computations; the options of their commands are checked")
    # No page shows the scores of left-out labels, which take three quarters of a training.
    monkeypatch.setattr(cross_fit, "_MAX_STEPS", 4)
    link_shared_data(text, tmp_path)
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for command in markdown.set_up_commands(text):
        run(command, markdown.Block("console", command, 1), page)

    for block in markdown.blocks(text):
        if block.is_run and block.kind == "python":
            exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), names)
        elif block.is_run:
            for command in block.command_lines:
                output = run(command, block, page)
                if block.tolerance is not None:
                    shown = block.outputs.get(command, [])
                    problems = markdown.find_wrong_numbers(shown, output, block.tolerance)
                    assert not problems, f"{page.name}:{block.line}: {command}: {problems}"


def test_the_first_pages_omit_only_commands_that_need_more_than_this_machine():
    reasons = {
        block.reason
        for page in markdown.FIRST_PAGES
        for block in markdown.blocks(page.read_text(encoding="utf-8"))
        if not block.is_run and not block.is_slow
    }

    assert reasons == {
        "it would change the reader's installation",  # `make check-pages` does that in a new one
        "needs a cryoSPARC instance",
    }


def link_shared_data(text, folder):
    for name in markdown.shared_folders(text):
        source = markdown.SHARED / name
        if not source.exists():
            pytest.skip(f"the shared data do not contain {name}")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(source)


def run(command, block, page):
    """Run a command: in this process, which has imported torch, unless it needs a shell."""
    unquoted = re.sub(r"'[^']*'|\"[^\"]*\"", "", command)
    if command.startswith("relion_"):
        require_relion()
    # `relion-job` and workers of clusters write to the terminal from other processes.
    is_nested = "--cluster" in command or "relion-job" in command
    needs_shell = is_nested or re.search(r"[*?\[|<>$&;~#]", unquoted)
    if command.startswith("cryopick ") and not needs_shell:
        result = CliRunner().invoke(app, shlex.split(command)[1:])
        status, output = result.exit_code, result.output
    else:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        process = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            timeout=600,
        )
        status, output = process.returncode, f"{process.stdout}\n{process.stderr}"
    assert status == block.status, (
        f"{page.name}:{block.line}: {command}\nexit status {status}, "
        f"expected {block.status}\n{output}"
    )
    return output


def require_relion():
    """Skip the rest of the page without RELION; fail with REQUIRE_RELION=1 in the environment."""
    if shutil.which("relion_refine") is None:
        if os.environ.get("REQUIRE_RELION") == "1":
            pytest.fail("RELION is required (REQUIRE_RELION=1) and relion_refine is not there")
        pytest.skip("RELION is not installed: no relion_refine")


@EVERY_PAGE
def test_commands_on_a_page_exist_with_their_options(page):
    for block in markdown.blocks(page.read_text(encoding="utf-8")):
        for line in block.commands:
            if line.startswith("cryopick-topaz"):
                parse_topaz_command(shlex.split(line)[1:])
                continue
            path, allowed = resolve(line)
            if COMMANDS[path].context_settings.get("ignore_unknown_options"):
                continue  # passes options on to other commands
            unknown = [word for word in markdown.options_of(line) if word not in allowed]
            assert not unknown, f"{page.name}:{block.line}: {' '.join(path)} has no {unknown}"


def parse_topaz_command(words):
    """Parse a command line for clients of Topaz; an unknown command or option raises."""
    if words[0] in ("--version", "--install"):
        return
    parser = Parser("cryopick-topaz", words[0], "")
    TOPAZ_COMMANDS[words[0]].options(parser)
    parser.read(words[1:])


def resolve(line):
    """Return the command that a line calls, and all options that it may contain."""
    words, path = shlex.split(line, comments=True)[1:], ()
    allowed = set(spellings(COMMANDS[()])) | {"-h", "--help"}
    for word in words:
        if hasattr(COMMANDS[path], "commands") and not word.startswith("-"):
            path = (*path, word)
            assert path in COMMANDS, f"there is no command `cryopick {' '.join(path)}`"
            allowed |= set(spellings(COMMANDS[path]))
    return path, allowed


def spellings(command):
    return [
        name
        for parameter in command.params
        if parameter.param_type_name == "option"
        for name in (*parameter.opts, *parameter.secondary_opts)
    ]


@pytest.mark.parametrize(
    "page",
    [page for page in markdown.pages() if "results" in page.parts and "\n|---" in page.read_text()],
    ids=lambda page: page.name,
)
def test_every_page_with_results_names_the_command_that_makes_them(page):
    text = page.read_text(encoding="utf-8")
    scripts = re.findall(r"(?:python|run) ((?:benchmarks|scripts)/\w+\.py)", text)
    tests = re.findall(r"tests/[\w/]+\.py", text)

    assert scripts or tests or "make " in text or "$ cryopick" in text
    missing = [name for name in {*scripts, *tests} if not (ROOT / name).exists()]
    assert not missing


def test_a_table_states_version_date_and_command_of_every_page_with_results():
    folder = ROOT / "docs" / "results"
    rows = re.findall(r"^\| \[[^]]+\]\((.+?)\) \|(.+)\|$", (folder / "README.md").read_text(), re.M)
    cells = {page: [cell.strip() for cell in rest.split("|")] for page, rest in rows}
    with_tables = {page.name for page in folder.glob("*.md") if "\n|---" in page.read_text("utf-8")}

    assert cells.keys() == with_tables - {"README.md"}
    for page, (version, date, command, _) in cells.items():
        assert re.search(r"\d+\.\d+\.\d+", version), page
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", date), page
        scripts = re.findall(r"benchmarks/\w+\.py|scripts/\w+", command)
        assert scripts or "`make " in command, page
        assert all((ROOT / script).exists() for script in scripts), page


@EVERY_PAGE
def test_links_between_pages_exist(page):
    for link in markdown.links(page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), f"{page.name} links to {link}, which does not exist"


@pytest.mark.parametrize(
    ("page", "made_by"), [("cli.md", "reference"), ("settings.md", "settings_reference")]
)
def test_a_generated_page_is_up_to_date(page, made_by):
    made = runpy.run_path(str(ROOT / "scripts" / "make_reference.py"))[made_by]()

    committed = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
    assert committed == made, f"run `make docs` and commit docs/reference/{page}"


def test_every_command_and_option_is_in_the_reference():
    text = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    common = text.split("\n## ")[0]  # options of every command

    for path, command in COMMANDS.items():
        title = f"## {' '.join(('cryopick', *path))}\n"
        assert title in text
        section = text.split(title)[1].split("\n## ")[0]
        missing = [name for name in spellings(command) if f"`{name}`" not in section + common]
        assert not missing, f"{title.strip()} does not mention {missing}"


@pytest.mark.parametrize(
    ("path", "command"), [(path, c) for path, c in COMMANDS.items() if path], ids=str
)
def test_help_has_a_summary_an_example_and_all_options(path, command):
    text = command.help or ""

    assert text.split("\n")[0].endswith(".")
    assert hasattr(command, "commands") or f"Example: cryopick {' '.join(path)}" in text
    undocumented = [p.name for p in command.params if not p.help and p.name != "help"]
    assert not undocumented


@pytest.mark.parametrize(("path", "command"), COMMANDS.items(), ids=str)
def test_the_example_of_a_command_uses_existing_options(path, command):
    for example in re.findall(r"Example: (cryopick [^\n]*)", command.help or ""):
        found, allowed = resolve(example)
        assert found == path
        if command.context_settings.get("ignore_unknown_options"):
            continue  # passes options on to other commands
        assert set(markdown.options_of(example)) <= allowed
