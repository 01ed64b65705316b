"""The reader of pages, which the other tests of the documentation rest on."""

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
