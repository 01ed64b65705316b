"""Pieces of a page: text stays text, and the page is whole in itself."""

from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from cryopick.report import markup

# What HTML cannot hold at all, or changes when it is read: controls and lone surrogates.
texts = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Cn")) | st.sampled_from("<>&\"'$"), min_size=1
)


class Reader(HTMLParser):
    """Collects the words and the tags of a page."""

    def __init__(self):
        super().__init__()
        self.words, self.tags = [], []

    def handle_data(self, data):
        self.words.append(data)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


@settings(deadline=None, max_examples=60)
@given(texts)
def test_text_is_shown_as_it_is(text):
    pieces = {
        "section": markup.section(text, "b"),
        "figure": markup.figure("", text),
        "headline": markup.headline({"a": text}),
        "row of a table": markup.table(["a", "b"], [[text, "d"]], "e"),
        "cell of a table": markup.table(["a", "b"], [["d", text]], "e"),
        "caption of a table": markup.table(["a", "b"], [["d", "e"]], text),
        "commands": markup.commands(["# " + text]),
        "more": markup.more(text, "b"),
        "document": markup.document("a", text, "", "b"),
    }

    for name, piece in pieces.items():
        assert text in "\n".join(read(piece).words), name


@settings(deadline=None, max_examples=30)
@given(texts)
def test_text_makes_no_element(text):
    plain, odd = (read(markup.document(t, t, markup.section(t, t), t)) for t in ("x", text))

    assert [tag for tag, _ in odd.tags] == [tag for tag, _ in plain.tags]


def test_commands_stand_after_a_prompt_and_remarks_do_not():
    assert "\n".join(read(markup.commands(["a b", "# c"])).words) == "$ a b\n# c"


def test_a_long_command_goes_on_in_lines_that_the_shell_joins():
    command = "cryopick train " + " ".join(f"--option-{i} value" for i in range(20))

    shown = "".join(read(markup.commands([command])).words)

    assert "\\\n" in shown
    assert shown.replace("\\\n", "").split() == ["$", *command.split()]
    assert max(map(len, shown.splitlines())) <= 104


def test_pictures_of_a_gallery_are_told_to_those_who_cannot_see_them():
    tags = read(markup.gallery(["data:,1", "data:,2"], "label")).tags

    assert [attrs["alt"] for tag, attrs in tags if tag == "img"] == ["label 1", "label 2"]
