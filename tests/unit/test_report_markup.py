"""HTML of report pages: texts are escaped, and the page loads and runs nothing."""

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from cryopick.report import markup
from cryopick.report.drawing import figure_svg

# Without characters that HTML cannot represent or that parsers change: controls and surrogates.
texts = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Cn")) | st.sampled_from("<>&\"'$"), min_size=1
)
INJECTION = '"><img src=x onerror="document.title=1">'


class PageParser(HTMLParser):
    """Collects the texts and the tags of a page."""

    def __init__(self):
        super().__init__()
        self.texts, self.tags = [], []

    def handle_data(self, data):
        self.texts.append(data)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def parse(page):
    parser = PageParser()
    parser.feed(page)
    parser.close()
    return parser


@settings(deadline=None, max_examples=60)
@given(texts)
def test_texts_are_displayed_unchanged(text):
    body = Markup("b")
    elements = {
        "section": markup.render_section(text, "b"),
        "subsection": markup.render_subsection(text, body),
        "figure": markup.render_figure(body, text),
        "gallery": markup.render_gallery([markup.GalleryPicture("data:,", text)], "a"),
        "headline": markup.render_headline({"a": text}),
        "facts": markup.render_facts({text: "a"}),
        "table row": markup.render_table(["a", "b"], [[text, "d"]], "e"),
        "table cell": markup.render_table(["a", "b"], [["d", text]], "e"),
        "table caption": markup.render_table(["a", "b"], [["d", "e"]], text),
        "commands": markup.render_commands(["# " + text]),
        "details": markup.render_details(text, "b"),
        "document": markup.render_document("a", text, body, "b"),
    }

    for name, element in elements.items():
        assert text in "\n".join(parse(element).texts), name


@settings(deadline=None, max_examples=30)
@given(texts)
def test_texts_create_no_elements(text):
    plain, escaped = (
        parse(markup.render_document(t, t, markup.render_section(t, t), t)) for t in ("x", text)
    )

    assert [tag for tag, _ in escaped.tags] == [tag for tag, _ in plain.tags]


@pytest.mark.parametrize(
    "render",
    [
        lambda text: markup.render_micrograph((4, 3), "data:,", text, Markup("")),
        lambda text: figure_svg(lambda figure: figure.subplots().set_title(text), (2.0, 2.0), text),
        lambda text: markup.render_gallery([markup.GalleryPicture("data:,")], text),
        lambda text: markup.render_gallery([markup.GalleryPicture(text)], "picture"),
    ],
)
def test_a_quotation_mark_does_not_end_an_attribute(render):
    tags = parse(render(INJECTION)).tags

    assert all("onerror" not in attributes for _, attributes in tags)
    assert [tag for tag, _ in tags] == [tag for tag, _ in parse(render("x")).tags]


def test_the_content_security_policy_forbids_scripts_and_the_network():
    page = markup.render_document("a", "b", Markup(""), "c")

    policies = [
        attributes["content"]
        for tag, attributes in parse(page).tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    (directives,) = (dict(part.split(maxsplit=1) for part in p.split("; ")) for p in policies)
    assert directives["default-src"] == "'none'"
    assert directives["img-src"] == "data:"
    assert "script-src" not in directives


def test_commands_have_a_prompt_and_comments_do_not():
    assert "\n".join(parse(markup.render_commands(["a b", "# c"])).texts) == "$ a b\n# c"


def test_a_long_command_is_wrapped_with_line_continuations():
    command = "cryopick train " + " ".join(f"--option-{i} value" for i in range(20))

    text = "".join(parse(markup.render_commands([command])).texts)

    assert "\\\n" in text
    assert text.replace("\\\n", "").split() == ["$", *command.split()]
    assert max(map(len, text.splitlines())) <= 104


def test_pictures_of_a_gallery_have_alternative_texts():
    pictures = map(markup.GalleryPicture, ["data:,1", "data:,2"])

    tags = parse(markup.render_gallery(pictures, "label")).tags

    assert [attributes["alt"] for tag, attributes in tags if tag == "img"] == ["label 1", "label 2"]
