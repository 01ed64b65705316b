#!/usr/bin/env python3
"""Check that names and prose use plain English and the standard terms of the glossary.

The check reads the source code without importing it and fails when one of these limits is exceeded:

- functions of the package named by a bare participle, such as `settled`: 1 % of its functions;
- vague names of the package's local variables and parameters, such as `own`: 2 per thousand;
- docstrings that open with a question word or with "The same": none;
- class names that two modules of the package define: none;
- words that the glossary replaces, in docstrings, comments, strings and documentation: none.

Usage: `scripts/check_vocabulary.py [--report] [--root FOLDER] [FILE ...]`. `--report` lists every
offending line; files and folders limit the check to them.
"""

import argparse
import ast
import collections
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
RULES = ("participle", "vague", "opening", "class", "glossary")
PARTICIPLE_LIMIT = 0.01
VAGUE_LIMIT = 0.002

IRREGULAR_PARTICIPLES = set(
    """
    begun born bound broken built chosen done drawn found given gone grown held kept known learnt
    left lost made meant paid said seen sent shown shrunk spelt spent spoken stood sworn taken
    thought told torn woven written
    """.split()  # noqa: SIM905 - a list of quoted words is harder to read
)
NOT_PARTICIPLES = {"bed", "embed", "feed", "need", "proceed", "red", "seed", "shed", "speed"}

OPENINGS = re.compile(
    r"(what|how|whether|where|which|when|who|whose|whom|why|whatever|those|it"
    r"|the same|all that|all those)\b",
    re.I,
)

VAGUE_NAMES = set(
    """
    about again asked beside done everything found given held here judged kept known listed made
    nothing now of on ours own place places said seen shown some stated taken theirs there
    thing things told wanted what why worth
    """.split()  # noqa: SIM905 - a list of quoted words is harder to read
)

# Pattern -> what to write instead. Each matches whole words, in any case.
REPLACEMENTS = {
    r"(?<!log-)(?<!log )odds(?! ratio)": "calibration",
    r"opinions?": "prediction or score",
    r"(has|have|its|their) say": "score or weight",
    r"dirt": "contamination",
    r"ignored ground": "exclusion region",
    r"ground(?! truth)(?!-truth)": "area or background",
    r"a low floor": "a default minimum",
    r"(stand|stands|standing|stood) out": "blob detection or contrast",
    r"anew": "again",
    r"mend(s|ed|ing)?": "repair or fix",
    r"at hand": "available",
    r"of a kind": "of one type",
    r"told": "specified, reported or distinguished",
    r"(tell|tells|telling) of": "describe",
    r"(go|goes|went) on": "continue or resume",
    r"cut off": "interrupted or truncated",
    r"(leave|leaves|leaving|left) out": "skip or exclude",
    r"nothing but": "only",
    r"(is|are|was|were) to be": "must be or will be",
    r"look(s|ed|ing)? around": "test-time augmentation",
    r"(flat|white) spectr(a|um)": "whitened spectrum",
    r"varied colours?": "spectral augmentation",
    r"(spread of|(mean|centre|level) and spread)": "standard deviation or range",
    r"right share": "precision",
    r"greatest": "largest or maximum",
    r"surest": "highest-scoring",
    r"worthiest": "most informative",
    r"whole numbers?": "integer",
    r"desk": "project or server",
    r"news": "events",
    r"stations?": "worker or live picking",
    r"(?<!decimal )places": "positions or locations",
    r"proposals first": "warm-up on proposals",
    r"settled": "determined or calibrated",
    r"known particles?": "labelled particles",
    r"(made|make|makes|making) ready": "prepare",
    r"judge(s|d)?|judging": "evaluate",
    r"(the|a|its) guide": "general model or ensemble partner",
    r"scratch work": "exploratory run",
    r"spelt": "spelled or written",
    r"parted": "separated",
    r"comes? of": "result from",
    r"for want of": "without",
    r"as a logarithm": "logarithm of",
    r"thereof|wherein|whereof|therein|whence|thence|hither|thither|whither": "plain English",
    r"lest|naught|nought|ere|forthwith|withal|amongst|whilst": "plain English",
}
GLOSSARY = [
    (re.compile(rf"(?<![\w`/-])(?:{old})(?![\w`/]|-\w)", re.I), new)
    for old, new in REPLACEMENTS.items()
]

IDENTIFIERS = {  # words of the names of functions, classes and parameters
    "odds": "calibration",
    "desk": "project",
    "news": "events",
    "dirt": "contamination",
    "anew": "again",
    "told": "a plain name",
    "opinion": "score",
    "surest": "highest_scoring",
    "worthiest": "most_informative",
    "greatest": "largest",
    "settled": "calibrated",
    "spelt": "written",
}

# (ending of the path, matched text in lower case) -> reason.
EXCEPTIONS: dict[tuple[str, str], str] = {}

CODE = ("src", "tests", "scripts", "benchmarks")
PROSE = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "mkdocs.yml",
    "docs",
    "changes",
    "benchmarks",
)


@dataclass
class Findings:
    """Offending lines per rule, and the totals that the shares refer to."""

    lines: dict[str, list[str]] = field(default_factory=lambda: collections.defaultdict(list))
    functions: int = 0  # of the package; so are the bindings
    bindings: int = 0
    classes: dict[str, list[str]] = field(default_factory=lambda: collections.defaultdict(list))

    def add(self, rule: str, path: Path, line: int, text: str) -> None:
        """Record one offending line, unless it has an exception."""
        if not any(
            path.as_posix().endswith(end) and word in text.lower() for end, word in EXCEPTIONS
        ):
            self.lines[rule].append(f"{path.as_posix()}:{line}: {text}")


def is_participle(word: str) -> bool:
    """Return True for `settled` and `told`, False for `seed` and `read`."""
    regular = word.endswith("ed") and "_" not in word and word not in NOT_PARTICIPLES
    return regular or word in IRREGULAR_PARTICIPLES


def check_text(findings: Findings, path: Path, line: int, text: str) -> None:
    """Search prose for the words that the glossary replaces."""
    for pattern, new in GLOSSARY:
        for match in pattern.finditer(text):
            offset = text.count("\n", 0, match.start())
            findings.add("glossary", path, line + offset, f'"{match[0]}": use {new}')


def check_identifier(findings: Findings, path: Path, line: int, name: str) -> None:
    """Search the words of a name for those that the glossary replaces."""
    for word in re.findall(r"[A-Z]?[a-z]+", name):
        if word.lower() in IDENTIFIERS:
            findings.add("glossary", path, line, f"name `{name}`: use {IDENTIFIERS[word.lower()]}")


def bound_names(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[int, str]]:
    """Yield the line and name of each parameter and local variable, nested functions excluded."""
    arguments = function.args
    named = [
        *arguments.posonlyargs,
        *arguments.args,
        *arguments.kwonlyargs,
        arguments.vararg,
        arguments.kwarg,
    ]
    yield from ((item.lineno, item.arg) for item in named if item)
    pending: list[ast.AST] = [*function.body]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        pending.extend(ast.iter_child_nodes(node))


def check_docstring(
    findings: Findings,
    path: Path,
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
) -> None:
    """Check the first words of a docstring."""
    docstring = ast.get_docstring(node) or ""
    match = OPENINGS.match(docstring)
    if match:
        line = getattr(node, "lineno", 1)
        findings.add(
            "opening", path, line, f'docstring opens with "{docstring.splitlines()[0][:60]}"'
        )


def check_function(
    findings: Findings, path: Path, node: ast.FunctionDef | ast.AsyncFunctionDef
) -> None:
    """Check the name of a function and, in the package, the names of what it binds."""
    check_identifier(findings, path, node.lineno, node.name)
    if path.parts[0] != "src":
        return
    name = node.name.strip("_")
    if node.name.startswith("__") and node.name.endswith("__"):
        name = ""
    findings.functions += bool(name)
    if is_participle(name):
        findings.add("participle", path, node.lineno, f"function `{node.name}`")
    for line, bound in bound_names(node):
        if bound in {"self", "cls", "_"}:
            continue
        findings.bindings += 1
        if bound.strip("_") in VAGUE_NAMES:
            findings.add("vague", path, line, f"name `{bound}`")


def check_python(findings: Findings, path: Path, source: str) -> None:
    """Check one Python file: names, docstrings, comments and strings."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            check_docstring(findings, path, node)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            check_function(findings, path, node)
        elif isinstance(node, ast.ClassDef):
            check_identifier(findings, path, node.lineno, node.name)
            if path.parts[0] == "src":
                findings.classes[node.name].append(f"{path.as_posix()}:{node.lineno}")
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and " " in node.value.strip()
        ):
            check_text(findings, path, node.lineno, node.value)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            check_text(findings, path, token.start[0], token.string)


def without_code(markdown: str) -> str:
    """Blank out code blocks, inline code and link targets; line numbers stay."""
    blanked = re.sub(
        r"^( *)(```|~~~).*?^\1\2", lambda m: "\n" * m[0].count("\n"), markdown, flags=re.M | re.S
    )
    return re.sub(r"`[^`\n]*`|\]\([^)\n]*\)", "` `", blanked)


def script_texts(source: str) -> Iterator[tuple[int, str]]:
    """Yield the comments and string literals of a JavaScript file with their lines."""
    literal = r"/\*.*?\*/|//[^\n]*|\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`"
    for match in re.finditer(literal, source, re.S):
        if " " in match[0].strip():
            yield source.count("\n", 0, match.start()) + 1, re.sub(r"\$\{[^}]*\}", " ", match[0])


def check_file(findings: Findings, root: Path, path: Path) -> None:
    """Check one file by its type."""
    relative, source = path.relative_to(root), path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        check_python(findings, relative, source)
    elif path.suffix == ".js":
        for line, text in script_texts(source):
            check_text(findings, relative, line, text)
    elif path.suffix in {".md", ".yml"}:
        check_text(findings, relative, 1, without_code(source))
    elif path.suffix in {".html", ".jinja"}:
        check_text(
            findings, relative, 1, re.sub(r"<[^>]*>", lambda m: re.sub(r"[^\n]", " ", m[0]), source)
        )


def files_to_check(root: Path) -> list[Path]:
    """List the source files and pages, without generated files and vendored scripts."""
    suffixes = {".py", ".js", ".html", ".jinja", ".md", ".yml"}
    paths: set[Path] = set()
    for name in {*CODE, *PROSE}:
        path = root / name
        paths.update([path] if path.is_file() else path.rglob("*"))
    skipped = {"vendor", "__pycache__", "node_modules"}
    return sorted(
        path
        for path in paths
        if path.is_file() and path.suffix in suffixes and not skipped & set(path.parts)
    )


def run_checks(root: Path, paths: Iterable[Path]) -> Findings:
    """Check all files and add class names that two modules define."""
    findings = Findings()
    for path in paths:
        if path != Path(__file__).resolve() and path.name != "test_scripts_check_vocabulary.py":
            check_file(findings, root, path)
    for name, where in sorted(findings.classes.items()):
        if len(where) > 1 and not name.startswith("_"):
            findings.lines["class"].append(f"class `{name}`: {', '.join(where)}")
    return findings


def summarize(findings: Findings) -> tuple[bool, str]:
    """Return whether all limits hold, and the shares as text."""
    count = {rule: len(findings.lines[rule]) for rule in RULES}
    participles = count["participle"] / max(findings.functions, 1)
    vague = count["vague"] / max(findings.bindings, 1)
    text = f"""\
participles as function names: {count["participle"]} of {findings.functions} ({participles:.2%})
vague names: {count["vague"]} of {findings.bindings} ({vague * 1000:.1f} per thousand)
docstrings with a wrong first word: {count["opening"]}
class names used twice: {count["class"]}
words replaced by the glossary: {count["glossary"]}"""
    passed = participles <= PARTICIPLE_LIMIT and vague <= VAGUE_LIMIT
    return passed and not any(count[rule] for rule in ("opening", "class", "glossary")), text


def main() -> int:
    """Run the check and print the shares; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--report", action="store_true", help="list every offending line")
    parser.add_argument("--root", type=Path, default=CHECKOUT, help="checkout to check")
    parser.add_argument("files", nargs="*", type=Path, help="check only these files and folders")
    options = parser.parse_args()
    root = options.root.resolve()
    chosen = {path.resolve() for path in options.files}
    paths = files_to_check(root)
    if chosen:
        paths = [path for path in paths if {path, *path.parents} & chosen]
    findings = run_checks(root, paths)
    passed, text = summarize(findings)
    if options.report or chosen or not passed:
        for rule in RULES:
            for line in findings.lines[rule]:
                print(f"{rule:10} {line}")
    print(text)
    return int(not passed)


if __name__ == "__main__":
    sys.exit(main())
