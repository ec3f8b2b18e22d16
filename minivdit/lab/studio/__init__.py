"""The studio: a page in the browser on which every ability can be played with. It needs Gradio.

inputs.py knows which tab asks for what and makes a command line of it. drawing.py runs that command and shows its
steps. page.py lays it all out. So the page can do nothing that the command line can't, and says how to do it there.
"""

import importlib.util
import os
import tempfile
import threading

from ...base.errors import InputError, shorten
from .drawing import Studio

LARGEST_UPLOAD = "20mb"  # of one file


def serve(commands, weights=(), fixed=(), host="127.0.0.1", port=None, browser=True):
    """Open the page and serve it until Ctrl-C.

    commands: {name: Parser}, from which the page is made. weights: own ones, beside those that ship. fixed: words that
    are added to every command line. host: the address of this machine at which to listen. port: the first free one from
    7860 on unless given. browser: open one. Raises InputError where Gradio is missing or the port is taken.
    """
    with tempfile.TemporaryDirectory(prefix="minivdit-studio-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder  # what was uploaded and drawn goes when the page goes
        studio = Studio(commands, weights, fixed, folder)
        page, address = launch(studio, host, port, browser)
        print(f"the studio is at {address} (Ctrl-C ends it)", flush=True)
        try:
            threading.Event().wait()
        finally:
            page.close(verbose=False)


def launch(studio, host="127.0.0.1", port=None, browser=False):
    """Serve the page of a Studio in a thread: (Gradio's Blocks, the address)."""
    if importlib.util.find_spec("gradio") is None:
        raise InputError("the studio needs Gradio: pip install 'minivdit[studio]'")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    from .page import build, looks

    page = build(studio).queue(max_size=20, default_concurrency_limit=1)
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            inbrowser=browser,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            max_file_size=LARGEST_UPLOAD,
            footer_links=[],
            ssr_mode=False,
            **looks(),
        )
    except OSError as error:
        raise InputError(
            f"can't listen at {shorten(host)}, port {port or '7860 to 7959'}: it is taken, or no address of this "
            "machine; choose another --port or --host"
        ) from error
    return page, address
