"""The documentation site works from a folder, without a server, in a real browser."""

import shutil
import subprocess
import sys

import pytest
from tests.docs import markdown

PAGES = {
    "README.md": "# Start\n\nThis page is about micrographs.\n",
    "scores.md": "# Scores\n\nA threshold separates picks.\n\n## Logits\n\nIt is a logit.\n",
}


@pytest.fixture
def site(tmp_path):
    """Build a site of two pages with the settings and scripts of the documentation."""
    config = (markdown.ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    head, _, rest = config.partition("\nnav:\n")
    extensions = rest[rest.index("\nextra:\n") :]
    before, _, after = extensions.partition("  - mkdocstrings:")
    plugins = before + after[after.index("\nmarkdown_extensions:") :]  # the pages have no code
    (tmp_path / "mkdocs.yml").write_text(head + plugins, encoding="utf-8")
    scripts = markdown.ROOT / "docs" / "javascripts"
    shutil.copytree(scripts, tmp_path / "docs" / "javascripts")
    for name, text in PAGES.items():
        (tmp_path / "docs" / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "mkdocs", "--quiet", "build"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
    return tmp_path / "site" / "index.html"


def test_search_finds_pages_of_a_site_that_is_opened_from_a_folder(site):
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        requests = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto(site.as_uri())
        page.locator("input.md-search__input").click()
        page.locator("input.md-search__input").press_sequentially("threshold")
        page.locator(".md-search-result__item").first.wait_for(timeout=10_000)
        found = page.locator(".md-search-result__meta").inner_text()
        target = page.locator(".md-search-result__item a").first.get_attribute("href")
        browser.close()

    assert found == "1 matching document"
    assert target.startswith(site.with_name("scores.html").as_uri())
    assert all(url.startswith(("file:", "data:")) for url in requests)
