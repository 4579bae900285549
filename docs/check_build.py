"""Check a built site: ``python docs/check_build.py docs/_build/html``.

* every text notebook has code cells, and all of them were executed, but for cells that install: a MyST page with
  an incomplete header is read as a notebook without code, and builds without a warning;
* the pages show the pictures that their cells made, and cells that plot made some;
* the theorem index has one page for every registered check;
* no page loads anything from another host;
* every link to a page, a file or a place of the site leads somewhere.
"""

import html
import json
import re
import sys
from pathlib import Path
from urllib.parse import unquote

from pathgraph_proofs_checks.registry import all_checks

DOCS = Path(__file__).parent
PICTURE = re.compile(r"""<img\b[^>]*\bsrc=["'][^"']*_images/""")
CELL = re.compile(r"^```\{code-cell\}", re.MULTILINE)
INSTALL = re.compile(r"^```\{code-cell\} ipython3\n:tags: \[skip-execution\]\n\n%pip install .*\n```$", re.MULTILINE)
LINK = re.compile(r"""<a\b[^>]*?\bhref=["']([^"']*)""")
PLACE = re.compile(r"""<[^>]*?\bid=["']([^"']+)""")
LOADED = re.compile(r"""<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=["']((?:https?:)?//[^"']+)""")


def check_notebooks(site):
    """Compare the code cells of the sources with those that were executed; return how many ran."""
    executed = 0
    for page in sorted(DOCS.rglob("*.md")):
        if "_build" in page.parts:
            continue
        text = page.read_text(encoding="utf-8")
        cells = len(CELL.findall(text)) - len(INSTALL.findall(text))
        if not cells:
            continue
        name = page.relative_to(DOCS).with_suffix(".ipynb")
        notebook = site.parent / "jupyter_execute" / name
        if not notebook.exists():
            raise SystemExit(f"{page}: it has {cells} code cells and was not executed; is its header complete?")
        ran = [
            cell
            for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]
            if cell["cell_type"] == "code" and cell["execution_count"] is not None
        ]
        if len(ran) != cells:
            raise SystemExit(f"{page}: {cells} code cells in the source that do not install, {len(ran)} executed")
        outputs = [output for cell in ran for output in cell["outputs"]]
        if not outputs:
            raise SystemExit(f"{page}: no cell has an output")
        pictures = sum("image/png" in output.get("data", ()) for output in outputs)
        shown = len(PICTURE.findall((site / name).with_suffix(".html").read_text(encoding="utf-8")))
        if "plt.subplots" in text and not pictures:
            raise SystemExit(f"{page}: its cells made no picture; is a back end of Matplotlib without display chosen?")
        if shown < pictures:
            raise SystemExit(f"{page}: its cells made {pictures} pictures, the page shows {shown}")
        executed += cells
    if not executed:
        raise SystemExit("no code cell was executed: the site has no notebook")
    return executed


def check_theorems(site):
    names = {check.name for check in all_checks()}
    pages = {page.stem for page in (site / "theorems" / "generated").glob("*.html")}
    if pages != names or not names:
        raise SystemExit(f"theorem index: missing {sorted(names - pages)}, unexpected {sorted(pages - names)}")
    return len(names)


def check_hosts(site):
    pages = sorted(site.rglob("*.html"))
    for page in pages:
        found = LOADED.findall(page.read_text(encoding="utf-8"))
        if found:
            raise SystemExit(f"{page}: loads {found[0]}")
    return len(pages)


def check_links(site):
    """Follow the links of all pages inside the site; return how many there are."""
    pages = {page.resolve(): page.read_text(encoding="utf-8") for page in site.rglob("*.html")}
    places = {page: set(PLACE.findall(text)) for page, text in pages.items()}
    followed, broken = 0, set()
    for page, text in pages.items():
        for link in LINK.findall(text):
            target, _, place = html.unescape(link).partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            followed += 1
            found = (page.parent / unquote(target.partition("?")[0])).resolve() if target else page
            missing_place = place and found in places and unquote(place) not in places[found]
            if not found.exists() or missing_place:
                broken.add(f"{page.relative_to(site.resolve())}: {link}")
    if broken or not followed:
        raise SystemExit("links that lead nowhere:\n" + "\n".join(sorted(broken)[:20]))
    return followed


def main():
    site = Path(sys.argv[1])
    print(f"{check_notebooks(site)} code cells executed")
    print(f"{check_theorems(site)} checks in the theorem index")
    print(f"{check_hosts(site)} pages, none loads anything from another host")
    print(f"{check_links(site)} links inside the site lead somewhere")


if __name__ == "__main__":
    main()
