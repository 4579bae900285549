"""Open a built site in headless Chromium: ``python docs/check_browser.py docs/_build/html [--pictures DIR]``.

On a choice of pages, at the widths of a desktop and of a phone, in light and in dark:

* nothing is loaded from another host, nothing fails to load, and the console has no error;
* the page is not wider than the window, and its formulas and pictures are there, of legible size, and not clipped;
* axe-core finds no violation of its accessibility rules (in light on the desktop, in dark on the phone).

On the live page the factors are moved by the keyboard, by a pointer and by its buttons, and the parameters, paths,
norms and outputs that it shows are compared with those of pathgraph, as fractions.

It needs Chromium (the variable CHROMIUM, or a usual name on the path) and the packages of the dependency group
``browser``. Exit code 0, or 1 with everything that was found.
"""

import argparse
import contextlib
import functools
import http.server
import importlib.resources
import os
import random
import re
import shutil
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import networkx as nx
from playwright.sync_api import sync_playwright

import pathgraph as pg

PAGES = {
    "the landing page": "index.html",
    "quick start": "quickstart.html",
    "a guide page with formulas": "guide/generalization.html",
    "the tables of the command line": "guide/command-line.html",
    "a theorem, with a wide formula": "theorems/generated/associative-pattern-products.html",
    "an API page": "api/generated/pathgraph.path_norm.html",
    "a notebook": "notebooks/01-paths.html",
    "questions": "faq.html",
    "the live page": "live.html",
}
WIDTHS = {"desktop": (1400, 900), "phone": (390, 844)}
SCHEMES = ("light", "dark")
WITH_AXE = (("desktop", "light"), ("phone", "dark"))
SMALLEST_TEXT = 11.0  # CSS pixels, of formulas and of the text in drawings as they are displayed
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

LAYOUT = """
(smallest) => {
  const found = [];
  const name = (node) => node.textContent.trim().replace(/\\s+/g, " ").slice(0, 60);
  const page = document.documentElement;
  if (page.scrollWidth > window.innerWidth) found.push(`the page is ${page.scrollWidth} px wide`);
  const desktop = window.innerWidth > 1000;
  for (const math of document.querySelectorAll("main math")) {
    const box = math.getBoundingClientRect();
    if (!box.width || !box.height) found.push(`a formula has no size: ${name(math)}`);
    if (parseFloat(getComputedStyle(math).fontSize) < smallest) found.push(`a formula is too small: ${name(math)}`);
  }
  for (const line of document.querySelectorAll("main .equation")) {
    const over = [line, line.querySelector("math")].find((node) => node.scrollWidth > node.clientWidth + 1);
    if (!over) continue;
    if (desktop) found.push(`a formula is clipped, ${over.scrollWidth} px in ${over.clientWidth}: ${name(line)}`);
    if (getComputedStyle(over).overflowX === "visible") found.push(`a formula cannot be scrolled: ${name(line)}`);
  }
  for (const picture of document.querySelectorAll("main img")) {
    if (!picture.complete || !picture.naturalWidth) found.push(`a picture is missing: ${picture.src}`);
    if (!picture.alt) found.push(`a picture has no text: ${picture.src}`);
  }
  for (const text of document.querySelectorAll("main svg text")) {
    const svg = text.ownerSVGElement;
    const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    const size = scale * parseFloat(getComputedStyle(text).fontSize);
    if (size < smallest) found.push(`text in a drawing has ${size.toFixed(1)} px: ${name(text)}`);
    const [inner, outer] = [text.getBoundingClientRect(), svg.getBoundingClientRect()];
    const leaves = inner.left < outer.left - 1 || inner.right > outer.right + 1;
    if (leaves) found.push(`text leaves its drawing: ${name(text)}`);
  }
  return found;
}
"""
LIVE = """
() => {
  const all = (query) => [...document.querySelectorAll("#live " + query)];
  return {
    parameters: all("[data-parameter]").map((node) => [node.dataset.parameter, node.textContent]),
    paths: all("tr:has([data-path])").map((row) => [...row.cells].map((cell) => cell.textContent)),
    figures: all("[data-figure]").map((node) => [node.dataset.figure, node.textContent]),
    factors: all("output").map((node) => node.textContent),
    verdict: document.getElementById("live-verdict").textContent,
  };
}
"""
AXE = """
async () => (await axe.run(document)).violations.map(
  (one) => `axe: ${one.id}, ${one.help}: ` + one.nodes.slice(0, 3).map((node) => node.target.join(" ")).join(" | "))
"""


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serve files and write no log."""

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(site):
    """The address under which the site is served while the context is open."""
    handler = functools.partial(QuietHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def chromium():
    """The path of the system's Chromium."""
    for name in (os.environ.get("CHROMIUM"), *CHROMIUM_NAMES):
        if name and (found := shutil.which(name)):
            return found
    raise SystemExit("no Chromium: install it, or set CHROMIUM to its path")


def watch(page, address, found):
    """Write down everything that goes wrong while a page is open."""
    page.on("console", lambda message: message.type == "error" and found.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: found.append(f"script: {error}"))
    page.on("requestfailed", lambda request: found.append(f"not loaded: {request.url}"))
    page.on("response", lambda answer: answer.status >= 400 and found.append(f"{answer.status}: {answer.url}"))
    page.on(
        "request", lambda request: request.url.startswith((address, "data:")) or found.append(f"foreign: {request.url}")
    )


def check_page(page, address, path, axe, found):
    """Open a page and look at it; `axe` is the text of axe-core, or None."""
    watch(page, address, found)
    page.goto(address + path, wait_until="load")
    page.evaluate("document.fonts.ready.then(() => true)")
    found += page.evaluate(LAYOUT, SMALLEST_TEXT)
    if axe:
        page.evaluate(axe)
        found += page.evaluate(AXE)


# ---- the live page --------------------------------------------------------------------------------------------------


def live_network():
    """The network of the live page, as its text builds it."""
    graph = nx.DiGraph()
    graph.add_nodes_from(["x", "y"], activation="input")
    graph.add_node("a", activation="relu", bias=1)
    graph.add_nodes_from(["b", "c"], activation="relu")
    graph.add_node("out", activation="identity")
    weights = [("x", "a", 2), ("y", "a", -1), ("x", "b", -1), ("y", "b", 1), ("a", "c", 1), ("b", "c", -2)]
    graph.add_weighted_edges_from([*weights, ("b", "out", Fraction(1, 2)), ("c", "out", 3)])
    return pg.from_networkx(graph)


def fraction(text):
    return Fraction(re.sub(r"^(bias|×) ", "", text.strip()).replace("\N{MINUS SIGN}", "-"))


def shown(page):
    """What the live page shows: factors, second input, parameters, values of paths, figures, and what it says."""
    texts = page.evaluate(LIVE)
    parameters = {}
    for name, text in texts["parameters"]:
        source, *target = name.split()
        parameters[(source, *target) if target else source] = fraction(text)
    paths = {}
    for path, factors, value in texts["paths"]:
        paths[tuple(path.split(" → "))] = fraction(value)
        product = Fraction(1)
        for factor in factors.split(" · "):
            product *= fraction(factor.strip("()"))
        if product != fraction(value):
            raise SystemExit(f"live page: {factors} is not {value}")
    figures = {name: fraction(text) for name, text in texts["figures"]}
    factors = {name: fraction(text) for name, text in zip("abcy", texts["factors"], strict=True)}
    y = factors.pop("y")
    return factors, y, parameters, paths, figures, texts["verdict"]


def compare(page, net, what, found):
    """Compare what the live page shows with what pathgraph computes."""
    factors, y, parameters, paths, figures, verdict = shown(page)
    expected = {}
    for name, value in zip(net.parameters, net.theta, strict=True):
        source, target = name if isinstance(name, tuple) else (None, name)
        expected[name] = value * factors.get(target, 1) / factors.get(source, 1)
    if parameters != expected:
        found.append(f"{what}: parameters {parameters}, by hand {expected}")
    other = net.with_theta([parameters[name] for name in net.parameters])
    if min(factors.values()) > 0 and list(pg.rescale(net, factors).theta) != list(other.theta):
        found.append(f"{what}: the parameters are not those of pathgraph.rescale")
    lifting = pg.path_lifting(net)
    if paths != dict(zip(lifting.paths, lifting.values, strict=True)):
        found.append(f"{what}: paths {paths}")
    theta = [abs(value) for value in other.theta]
    values = {
        "norm": pg.path_norm(other),
        "squares": pg.path_norm(other, q=2, root=False),
        "parameters": sum(value**2 for value in theta),
        "largest": max(theta),
    }
    if figures != values:
        found.append(f"{what}: figures {figures}, computed {values}")
    inputs = [[Fraction(k, 10), y] for k in range(-30, 31)]
    differing = sum(bool(net(x)[0] != other(x)[0]) for x in inputs)
    said = re.search(r"differs at (\d+) of 61", verdict)
    if (int(said[1]) if said else 0) != differing or "Φ is the same." not in verdict:
        found.append(f"{what}: the page says {verdict!r}, and the outputs differ at {differing} inputs")
    for k, *numbers in re.findall(r"at x = (\S+) it was (\S+) and is (\S+)\.", verdict):
        x = [fraction(k), y]
        if [fraction(one) for one in numbers] != [net(x)[0], other(x)[0]]:
            found.append(f"{what}: the page says {verdict!r}")
    return differing


def check_live(page, address, found):
    """Move the factors in every way that a reader has."""
    net = live_network()
    page.goto(address + PAGES["the live page"], wait_until="load")
    broken = []

    def step(what, sound):
        broken.append(compare(page, net, what, found))
        if sound and broken[-1]:
            found.append(f"{what}: the function has changed under positive factors")

    step("at first", True)
    for name in "abc":
        page.focus(f"#live-{name}")
        for key in ("ArrowRight", "ArrowRight", "ArrowRight", "Home", "ArrowRight", "End"):
            page.keyboard.press(key)
            step(f"{name}, {key}", True)
    slider = page.locator("#live-b").bounding_box()
    page.mouse.move(slider["x"] + slider["width"] - 8, slider["y"] + slider["height"] / 2)
    page.mouse.down()
    page.mouse.move(slider["x"] + slider["width"] / 3, slider["y"] + slider["height"] / 2, steps=5)
    page.mouse.up()
    step("b, dragged", True)
    if shown(page)[0]["b"] >= 1:
        found.append("dragging the slider of b to the left did not make its factor small")
    for _ in range(5):
        page.click("text=Random factors")
        step("random factors", True)
    for name in "abc":
        page.focus(f"#live-sign-{name}")
        page.keyboard.press("Space")
        step(f"{name} negative", False)
        if not broken[-1]:
            found.append(f"a negative factor of {name} does not change the function")
        page.keyboard.press("Space")
        step(f"{name} positive again", True)
    page.focus("#live-y")
    for key in random.Random(0).choices(["ArrowLeft", "ArrowRight", "Home", "End"], k=6):
        page.keyboard.press(key)
        step(f"y, {key}", True)
        page.click("label[for='live-sign-c']")
        step(f"y, {key}, c negative", False)
        page.click("label[for='live-sign-c']")
    page.click("text=All ones")
    step("all ones", True)
    return len(broken), sum(map(bool, broken))


# ---- the command ----------------------------------------------------------------------------------------------------


def main():
    parser = argparse.ArgumentParser(description="Open a built site in headless Chromium.")
    parser.add_argument("site", type=Path, help="the folder of the built site")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="write a picture of every page there")
    parser.add_argument(
        "--pages", nargs="+", metavar="PATH", help="other pages than the usual choice; the live page is not tried"
    )
    options = parser.parse_args()
    missing = [path for path in options.pages or PAGES.values() if not (options.site / path).exists()]
    if missing:
        raise SystemExit(f"{options.site}: no page {', '.join(missing)}; is the site built?")
    axe = (importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    pages = {path: path for path in options.pages} if options.pages else PAGES
    start, failed, opened = time.monotonic(), 0, 0
    with served(options.site) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium())
        print(f"Chromium {browser.version}, {re.search(r'axe v([0-9.]+[0-9])', axe)[0]}")
        for width, (across, down) in WIDTHS.items():
            for scheme in SCHEMES:
                context = browser.new_context(viewport={"width": across, "height": down}, color_scheme=scheme)
                for title, path in pages.items():
                    found = []
                    with context.new_page() as page:
                        check_page(page, address, path, axe if (width, scheme) in WITH_AXE else None, found)
                        if options.pictures:
                            name = f"{Path(path).stem}-{width}-{scheme}.png"
                            page.screenshot(path=options.pictures / name, full_page=True)
                    opened += 1
                    failed += bool(found)
                    for text in found:
                        print(f"{title}, {width}, {scheme}: {text}")
                context.close()
            if not options.pages:
                found = []
                context = browser.new_context(viewport={"width": across, "height": down}, has_touch=width == "phone")
                with context.new_page() as page:
                    watch(page, address, found)
                    steps, broken = check_live(page, address, found)
                print(
                    f"live page, {width}: {steps} states compared with pathgraph, the function another one in {broken}"
                )
                context.close()
                failed += bool(found)
                for text in found:
                    print(f"live page, {width}: {text}")
        browser.close()
    print(f"{opened} views of {len(pages)} pages, {failed} with findings, in {time.monotonic() - start:.0f} s")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
