"""Open every page of the built documentation in a browser and say what is wrong.

At the width of a desktop and of a phone, light and dark: what scrolls sideways, links
and pictures that lead nowhere, pictures without a text for those who can't see them,
summaries of the reference that don't fit a screen, and what axe-core finds (contrast
above all), if ``npm install --prefix .axe axe-core`` has put it there. ``make
check-docs`` runs it after ``make docs``; it needs Selenium and Chromium, and says so
where one is missing. A browser for each core, up to four, shares the pages.
"""

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse
from urllib.request import url2pathname

FOLDER = Path(__file__).resolve().parent
SITE = FOLDER / "_build" / "html"
AXE = FOLDER.parent / ".axe" / "node_modules" / "axe-core" / "axe.min.js"
WIDTHS = (1280, 390)
HEIGHT = 900
MODES = ("light", "dark")
# Each color and each width is looked at once by axe-core, which takes most of the time.
AXE_VIEWS = ((1280, "light"), (390, "dark"))
# What is looked at in the page itself.
LOOK = """
const wide = document.documentElement.scrollWidth - window.innerWidth;
return {
  sideways: wide > 1 ? wide : 0,
  widest: wide > 1 ? [...document.querySelectorAll('article *')].filter(
    e => e.getBoundingClientRect().right > window.innerWidth + 1
  ).slice(0, 2).map(e => e.tagName + ': ' + e.textContent.trim().slice(0, 50)) : [],
  broken: [...document.images].filter(i => i.complete && !i.naturalWidth)
    .map(i => i.getAttribute('src')),
  silent: [...document.images].filter(i => !i.hasAttribute('alt'))
    .map(i => i.getAttribute('src')),
  links: [...document.querySelectorAll('a[href]')].map(a => a.href),
  ids: [...document.querySelectorAll('[id]')].map(e => e.id),
  summaries: [...document.querySelectorAll('table.summary')].slice(0, 1).map(
    e => Math.ceil(e.getBoundingClientRect().bottom)
  ),
};
"""
SET_MODE = """
document.documentElement.dataset.mode = arguments[0];
document.documentElement.dataset.theme = arguments[0];
"""
AXE_RUN = """
const done = arguments[arguments.length - 1];
axe.run({exclude: [arguments[0]]}, {runOnly: ['wcag2a', 'wcag2aa']}).then(
  r => done(r.violations.map(
    v => v.id + ' (' + v.nodes.length + '): ' + v.nodes[0].html.slice(0, 120)
  ))
);
"""
# Of docutils, numpydoc and the theme: lists of definitions and of citations, code that
# scrolls within itself. And of the gallery, whose links lie under their pictures.
THEIRS = (
    "aria-deprecated-role",
    "aria-required-children",
    "definition-list",
    "scrollable-region-focusable",
)
THUMBNAILS = ".sphx-glr-thumbcontainer"


def start_browser():
    """Return a driver, or exit in words where there is no browser."""
    try:
        from selenium import webdriver
    except ImportError:
        raise SystemExit("Selenium is missing: make .venv/.with-test") from None
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not browser or not driver:
        raise SystemExit("Chromium or its driver is missing; no page was opened.")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu"):
        options.add_argument(argument)
    service = webdriver.ChromeService(executable_path=driver)
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_script_timeout(120)  # on a busy machine
    return driver


def open_page(driver, path, width, mode):
    """Open a page as a screen of a width shows it, in light or dark."""
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {
            "width": width,
            "height": HEIGHT,
            "deviceScaleFactor": 1,
            "mobile": width < 600,
        },
    )
    driver.get(path.as_uri())
    driver.execute_script(
        # Colors that fade in would be looked at half-way.
        "const style = document.createElement('style');"
        "style.textContent = '* { transition: none !important; }';"
        "document.head.append(style);"
    )
    set_mode(driver, mode)


def set_mode(driver, mode):
    """Show the open page in light or dark."""
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": mode}]},
    )
    driver.execute_script(SET_MODE, mode)


def check_page(driver, path, axe):
    """Return what is wrong with a page, its links and its ids."""
    wrong, links, ids = set(), set(), set()
    for width in WIDTHS:
        open_page(driver, path, width, MODES[0])
        for mode in MODES:
            set_mode(driver, mode)
            found = driver.execute_script(LOOK)
            if found["sideways"]:
                wrong.add(
                    f"scrolls sideways by {found['sideways']} at {width}: "
                    f"{found['widest']}"
                )
            wrong |= {f"picture {src!r} is missing" for src in found["broken"]}
            wrong |= {f"picture {src!r} has no alt text" for src in found["silent"]}
            if width == max(WIDTHS):
                wrong |= {
                    f"the summary ends at {bottom} pixels, below a screen of {HEIGHT}"
                    for bottom in found["summaries"]
                    if bottom > HEIGHT
                }
            links |= set(found["links"])
            ids |= set(found["ids"])
            if axe and (width, mode) in AXE_VIEWS:
                driver.execute_script(axe)
                for violation in driver.execute_async_script(AXE_RUN, THUMBNAILS):
                    if not violation.startswith(THEIRS):
                        wrong.add(f"{mode}, {width}: {violation}")
    return wrong, links, ids


def check_pages(pages, axe):
    """Return what `check_page` does of each page, from a browser of its own."""
    driver = start_browser()
    try:
        return {page: check_page(driver, page, axe) for page in pages}
    finally:
        driver.quit()


def find_broken_links(links, ids):
    """Yield links within the site that lead to no page, or to no part of one."""
    for page, of_page in links.items():
        for link in sorted(of_page):
            address, fragment = urldefrag(link)
            if urlparse(address).scheme != "file":
                continue
            target = Path(url2pathname(unquote(urlparse(address).path)))
            if not target.exists():
                yield page, f"link to {target} leads nowhere"
            elif fragment and target in ids and unquote(fragment) not in ids[target]:
                yield page, f"{target.name} has no part {fragment!r}"


def main():
    """Check the pages that are named, or all; return the exit code."""
    pages = [Path(p).resolve() for p in sys.argv[1:]] or sorted(SITE.rglob("*.html"))
    # The theme and the gallery make pages of their own beside those of the project.
    pages = [
        page
        for page in pages
        if "_static" not in page.parts and page.name != "sg_execution_times.html"
    ]
    if not pages:
        raise SystemExit(f"There are no pages in {SITE}; run make docs.")
    axe = AXE.read_text(encoding="utf-8") if AXE.exists() else ""
    n_browsers = min(os.cpu_count(), 4, len(pages))
    shares = [pages[i::n_browsers] for i in range(n_browsers)]
    checked = {}
    with ThreadPoolExecutor(n_browsers) as pool:
        for share in pool.map(lambda share: check_pages(share, axe), shares):
            checked |= share
    found, links, ids = ({p: checked[p][i] for p in pages} for i in range(3))
    for page, problem in find_broken_links(links, ids):
        found[page].add(problem)
    for page, problems in found.items():
        for problem in sorted(problems):
            print(f"{page.relative_to(SITE.parent)}: {problem}")
    with_axe = "with" if axe else "without"
    n = sum(map(len, found.values()))
    print(
        f"{len(pages)} pages in {len(WIDTHS) * len(MODES)} views, {with_axe} axe-core:"
        f" {n} problems"
    )
    return int(n > 0)


if __name__ == "__main__":
    sys.exit(main())
