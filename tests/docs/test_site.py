"""The documentation site works from a folder, without a server, in a real browser.

Skipped where there is none; with REQUIRE_BROWSER=1 in the environment that is a failure.
"""

import re
import shutil
import subprocess
import sys

import pytest
from tests.docs import markdown

PAGES = {
    "README.md": "# Start\n\n```console\n$ cryopick pick a \\\n    -o b\n12 picks\n$ ls\n```\n",
    "scores.md": (
        "# Scores\n\nTake the best picks: `cryopick threshold --keep 2`, or `--keep`.\n\n"
        "## Logits\n\nIt is a logit.\n"
    ),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build a site of two pages with the settings and scripts of the documentation."""
    tmp_path = tmp_path_factory.mktemp("site")
    config = (markdown.ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    head, _, rest = config.partition("\nnav:\n")
    extensions = rest[rest.index("\nextra_css:") :]
    before, _, after = extensions.partition("  - mkdocstrings:")
    plugins = before + after[after.index("\nmarkdown_extensions:") :]  # the pages have no code
    (tmp_path / "mkdocs.yml").write_text(head + plugins, encoding="utf-8")
    for folder in ("javascripts", "stylesheets"):
        shutil.copytree(markdown.ROOT / "docs" / folder, tmp_path / "docs" / folder)
    sheet = markdown.ROOT / "docs" / "reference" / "cheat-sheet.md"
    shutil.copy(sheet, tmp_path / "docs")
    for name, text in PAGES.items():
        (tmp_path / "docs" / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "mkdocs", "--quiet", "build"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    return tmp_path / "site" / "index.html"


@pytest.fixture(scope="module")
def page(site, browser):
    """Open the first page from its folder; the addresses of all requests are its attribute."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.requests = []
    page.on("request", lambda request: page.requests.append(request.url))
    page.goto(site.as_uri())
    yield page
    page.close()


def test_names_of_options_stay_on_one_line_of_wrapped_commands(page, site):
    page.goto(site.as_uri())
    code = page.locator(".language-console code")

    assert code.locator("span[style*=nowrap]").all_inner_texts() == ["-o"]
    assert code.evaluate("code => getComputedStyle(code).whiteSpace") == "pre-wrap"


def test_search_finds_pages_of_a_site_that_is_opened_from_a_folder(page, site):
    page.goto(site.as_uri())
    page.locator("input.md-search__input").click()
    page.locator("input.md-search__input").press_sequentially("logits")
    page.locator(".md-search-result__item").first.wait_for(timeout=10_000)

    assert page.locator(".md-search-result__meta").inner_text() == "1 matching document"
    target = page.locator(".md-search-result__item a").first.get_attribute("href")
    assert target.startswith(site.with_name("scores.html").as_uri())
    assert all(url.startswith(("file:", "data:")) for url in page.requests)


def test_commands_in_sentences_wrap_and_names_of_options_do_not(page, site):
    page.goto(site.with_name("scores.html").as_uri())
    command, option = page.locator("p > code").all()

    display = "code => getComputedStyle(code).display"
    assert [command.evaluate(display), option.evaluate(display)] == ["inline", "inline-block"]
    assert command.locator("span[style*=nowrap]").all_inner_texts() == ["--keep"]


def test_the_cheat_sheet_prints_on_one_page(page, site):
    page.goto(site.with_name("cheat-sheet.html").as_uri())
    printed = page.pdf(format="A4", prefer_css_page_size=True)

    assert re.findall(rb"/Type */Pages\b.{0,200}?/Count (\d+)", printed, re.DOTALL) == [b"1"]


def test_commands_are_copied_without_their_prompt_and_output(page, site):
    page.goto(site.as_uri())
    page.evaluate(
        "addEventListener('copy', e => { window.copied = e.clipboardData.getData('text/plain') })"
    )
    page.locator("pre button").first.click()

    page.wait_for_function("window.copied")
    assert page.evaluate("window.copied") == "cryopick pick a \\\n    -o b\nls\n"
