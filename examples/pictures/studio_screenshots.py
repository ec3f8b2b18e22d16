"""Screenshots of the studio for README: while clips are drawn side by side, and on a phone.

python examples/pictures/studio_screenshots.py "a 3 moving right" --seed 1

Writes studio.png and studio-phone.png into --out. Needs playwright, Gradio (pip install
'minivdit[browser,studio]') and a Chromium.
"""

import argparse
import os
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from minivdit.lab.cli.main import build_parser
from minivdit.lab.studio import Studio, launch

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("prompt", nargs="?", default="a 3 moving right")
parser.add_argument("--seed", default="1")
parser.add_argument("--step", type=int, default=12, help="the step at which the first picture is taken")
parser.add_argument("--out", default=str(Path(__file__).parent))
options = parser.parse_args()

out = Path(options.out)
served, address = launch(Studio(build_parser().parse_args(["studio"]).commands))


def save(page, name, **how):
    """In 64 colours, so that it stays small."""
    path = out / f"{name}.png"
    page.screenshot(path=path, **how)
    Image.open(path).convert("RGB").quantize(64).save(path, optimize=True)


def draw(page, tab):
    page.get_by_role("button", name=tab, exact=True).click()


def wait_for(page, text):
    page.wait_for_function(
        "text => new RegExp(text).test(document.getElementById('state').innerText)", arg=text, timeout=300_000
    )


with sync_playwright() as driver:
    known = (os.environ.get("MINIVDIT_CHROMIUM"), shutil.which("chromium"), shutil.which("google-chrome"))
    program = next((path for path in known if path), None)
    browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
    page = browser.new_page(viewport={"width": 1280, "height": 760})
    page.goto(address)
    page.get_by_label("caption").first.fill(options.prompt)
    page.get_by_role("button", name="How it is drawn").click()
    page.get_by_label("seed").first.fill(options.seed)
    page.get_by_role("button", name="How it is drawn").click()
    page.get_by_role("tab", name="Side by side").click()
    draw(page, "Side by side")
    wait_for(page, f"perframe: step {options.step} ")
    save(page, "studio")
    page.close()

    phone = browser.new_page(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    phone.goto(address)
    phone.get_by_label("caption").first.fill(options.prompt)
    draw(phone, "Draw")
    wait_for(phone, f"step {options.step} ")
    save(phone, "studio-phone")
    browser.close()
served.close()
print(f"{out / 'studio.png'} and others beside it")
