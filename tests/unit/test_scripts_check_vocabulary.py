"""The vocabulary check finds each kind of offence, and accepts normal English."""

import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_vocabulary.py"
check = runpy.run_path(str(SCRIPT))


def offences(tmp_path, files):
    """Write files into a checkout and return the offending lines per rule."""
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    findings = check["run_checks"](tmp_path, check["files_to_check"](tmp_path))
    return findings, {rule: lines for rule, lines in findings.lines.items() if lines}


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("def fitted(): ...\n", "participle"),
        ("class A:\n    def _folded(self): ...\n", "participle"),
        ("def f(own): ...\n", "vague"),
        ("def f():\n    for place in ():\n        pass\n", "vague"),
        ("def f(x):\n    return [y for given in x]\n", "vague"),
        ('"""What it does."""\n', "opening"),
        ('def f():\n    """The same, twice."""\n', "opening"),
        ("# fitted odds\n", "glossary"),
        ('X = f"{1} micrographs left out"\n', "glossary"),
        ("def fit_odds(): ...\n", "glossary"),
        ("class DeskState: ...\n", "glossary"),
    ],
)
def test_an_offence_in_python_code_is_found(tmp_path, source, rule):
    _, lines = offences(tmp_path, {"src/a.py": source})

    assert list(lines) == [rule]


@pytest.mark.parametrize(
    "source",
    [
        "def seed(read, split): ...\n",
        "def is_labelled(): ...\n",
        "def fit(ownership, log_odds): ...\n",
        '"""Whatsoever: a module on log-odds, decimal places and ground truth."""\n',
        "class A:\n    def __init__(self): ...\n",
    ],
)
def test_plain_names_and_prose_pass(tmp_path, source):
    _, lines = offences(tmp_path, {"src/a.py": source})

    assert lines == {}


def test_one_class_name_in_two_modules_is_found_unless_private(tmp_path):
    files = {
        "src/a.py": "class Run: ...\nclass _A: ...\n",
        "src/b.py": "class Run: ...\nclass _A: ...\n",
    }

    _, lines = offences(tmp_path, files)

    assert lines == {"class": ["class `Run`: src/a.py:1, src/b.py:1"]}


def test_documentation_is_checked_outside_its_code(tmp_path):
    text = "Plain.\n\n```\nleft out\n```\n\n`left out` is code; left out is not.\n"

    _, lines = offences(tmp_path, {"docs/a.md": text})

    assert lines == {"glossary": ['docs/a.md:7: "left out": use skip or exclude']}


def test_texts_of_javascript_are_checked_and_its_names_are_not(tmp_path):
    source = 'const odds = desk();\nshow("the odds of it");\n// over at the desk\n'

    _, lines = offences(tmp_path, {"src/a.js": source})

    assert [line.split(":")[1] for line in lines["glossary"]] == ["2", "3"]


def test_the_check_fails_above_the_limit_and_passes_below_it(tmp_path):
    functions = "".join(f"def read_file_{number}(): ...\n" for number in range(99))

    one, _ = offences(tmp_path, {"src/a.py": functions + "def fitted(): ...\n"})
    passed, text = check["summarize"](one)
    two, _ = offences(tmp_path, {"src/b.py": "def listed(): ...\n"})

    assert passed
    assert "1 of 100 (1.00%)" in text
    assert not check["summarize"](two)[0]


def test_names_of_tests_do_not_count_towards_the_shares(tmp_path):
    findings, lines = offences(tmp_path, {"tests/a.py": "def settled(own): ...\n"})

    assert (findings.functions, findings.bindings) == (0, 0)
    assert list(lines) == ["glossary"]
