"""The reader of pages, which the other tests of the documentation rest on."""

import pytest
from tests.docs import markdown

PAGE = """\
<!-- runs with: data/empiar10017 -->
# A page

See [another](howto/x.md#part), [a site](https://example.org) and [a part](#part).

```console
$ cryopick info a.mrc \\
    --json
a.mrc: 3 picks
$ ls
$ cryopick convert a.tsv -o b.star | head
```

<!-- not run: takes an hour -->
```python
x = 1
```

<!-- exits with: 1 -->
```console
$ cryopick info nothing.mrc
```

```python
[in code](is/no/link.md)
```
"""


def test_commands_are_the_cryopick_lines_with_continued_lines_joined():
    first, *_ = markdown.blocks(PAGE)

    assert [command.split() for command in first.commands] == [
        ["cryopick", "info", "a.mrc", "--json"],
        ["cryopick", "convert", "a.tsv", "-o", "b.star", "|", "head"],
    ]
    assert markdown.options_of(first.commands[1]) == ["-o"]


def test_other_programs_are_run_but_have_no_options_of_cryopick():
    text = "```console\n$ mkdir -p a\n$ relion_refine --i a\n$ cryopick info a\n$ make x\n```\n"
    (block,) = markdown.blocks(text)

    assert block.command_lines == ["mkdir -p a", "relion_refine --i a", "cryopick info a"]
    assert block.commands == ["cryopick info a"]


def test_a_page_is_set_up_by_its_comments():
    text = "<!-- set up: cryopick simulate data --count 2 -->\n# A page\n"

    assert markdown.set_up_commands(text) == ["cryopick simulate data --count 2"]


def test_a_comment_steers_only_the_block_below_it():
    steered = [(block.kind, block.is_run, block.status) for block in markdown.blocks(PAGE)]

    assert steered == [
        ("console", True, 0),
        ("python", False, 0),
        ("console", True, 1),
        ("python", True, 0),
    ]


def test_a_block_knows_its_line():
    assert [block.line for block in markdown.blocks(PAGE)] == [7, 16, 21, 25]


def test_links_are_those_to_other_pages():
    assert markdown.links(PAGE) == ["howto/x.md"]
    assert markdown.shared_folders(PAGE) == ["data/empiar10017"]


def test_a_page_without_blocks_has_none():
    assert markdown.blocks("# cryopick\n") == []


def test_shown_numbers_are_compared_with_the_output_within_the_tolerance():
    output = "4,300 picks found\naverage precision  0.9300\nbest F1   0.9  threshold -0.5 at x\n"

    def wrong(*shown):
        return markdown.find_wrong_numbers(list(shown), output, markdown.Tolerance(0.05))

    assert (
        wrong("4,381 picks found", "average precision  0.9348", "best F1            0.91 …") == []
    )
    assert len(wrong("3773 picks found")) == 1
    assert "now: 'average precision  0.9300'" in wrong("average precision  0.8")[0]
    assert len(wrong("average accuracy 0.93")) == 1
    assert len(wrong("best F1 0.9")) == 1


def test_fractions_have_a_tolerance_of_their_own():
    tolerance = markdown.Tolerance.parse("20 %, 0.03")

    def wrong(*shown):
        return markdown.find_wrong_numbers(list(shown), "4300 picks, AP 0.9300, 1 of 2", tolerance)

    assert wrong("4800 picks, AP 0.9590, 1 of 2") == []
    assert len(wrong("4800 picks, AP 0.9610, 1 of 2")) == 1
    assert len(wrong("5500 picks, AP 0.9300, 1 of 2")) == 1
    assert len(wrong("4300 picks, AP 0.9300, 1 of 3")) == 1


def test_the_output_and_tolerance_of_a_block_are_read():
    text = (
        "<!-- output within: 5 % -->\n```console\n$ cryopick a \\\n    --b\n1 pick\n…\n"
        "$ cryopick c\n2 picks …\n```\n"
    )

    (block,) = markdown.blocks(text)

    assert block.tolerance == markdown.Tolerance(pytest.approx(0.05))
    assert block.is_run
    assert list(block.outputs) == block.commands
    assert list(block.outputs.values()) == [["1 pick"], ["2 picks …"]]
