"""Screenshots of the explorer for README and chapters: one click under several patterns, on a desktop and on a phone.

python examples/pictures/explorer_screenshots.py "a 3 moving right" --seed 1 --patch 8,0,2
python examples/pictures/explorer_screenshots.py --page explorer.html --patch 8,0,2      a page that is there already

Writes explorer.png, explorer-phone.png and explorer-PATTERN.png (one for each row of the page) into --out. Needs
playwright (pip install 'minivdit[browser]') and a Chromium.
"""

import argparse
import os
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

from minivdit.lab.explorer import explore

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("prompt", nargs="?", default="a 3 moving right")
parser.add_argument("--weights", action="append", help="as for minivdit explore")
parser.add_argument("--restrict", default="", help="as for minivdit explore")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--page", help="a page that was written by minivdit explore")
parser.add_argument("--patch", help="time,row,column in patches, from 0; the page's own unless given")
parser.add_argument("--choose", action="append", default=[], help="a choice, such as 'block 2'; repeatable")
parser.add_argument("--out", default=str(Path(__file__).parent))
options = parser.parse_args()

out = Path(options.out)
page_path = Path(options.page or out / "explorer.html")
if not options.page:
    restrict = [name for name in options.restrict.split(",") if name]
    explore(options.prompt, options.weights, restrict, seed=options.seed).save(page_path)

with sync_playwright() as driver:
    known = (os.environ.get("MINIVDIT_CHROMIUM"), shutil.which("chromium"), shutil.which("google-chrome"))
    program = next((path for path in known if path), None)
    browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
    for name, width, height, scale in (("explorer", 1280, 850, 1), ("explorer-phone", 390, 844, 2)):
        page = browser.new_page(
            viewport={"width": width, "height": height}, device_scale_factor=scale, reduced_motion="reduce"
        )
        page.goto(page_path.resolve().as_uri())
        page.wait_for_selector("body[data-ready]")
        if options.patch:
            time, row, column = map(int, options.patch.split(","))
            canvas = page.locator(".frames").first.locator("canvas").nth(time)
            rows, columns = page.evaluate("[data.grid[1], data.grid[2]]")
            box = canvas.bounding_box()
            canvas.click(
                position={"x": (column + 0.5) * box["width"] / columns, "y": (row + 0.5) * box["height"] / rows}
            )
        for choice in options.choose:
            page.get_by_role("radio", name=choice).click()
        page.wait_for_timeout(300)
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=out / f"{name}.png", full_page=name == "explorer")
        if name == "explorer":
            for panel in page.locator("section.panel:visible").all():
                pattern = panel.get_by_role("heading").inner_text().split()[0]
                panel.screenshot(path=out / f"explorer-{pattern}.png")
        page.close()
    browser.close()
if not options.page:
    page_path.unlink()
print(f"{out / 'explorer.png'} and others beside it")
