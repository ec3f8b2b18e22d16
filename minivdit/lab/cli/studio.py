"""`minivdit studio`: a page in the browser to play on."""

from ...base.console import note
from ...base.errors import shorten
from .groups import add_device, add_weights, prepare
from .options import whole


def add_studio(commands):
    text = """Open a page in the browser to draw on.

    Type a caption and see the clip come out of the noise. There is a tab for each ability, and the page shows the
    command that does the same. Clips are drawn one at a time. Uploads and drawn clips are deleted when it ends.
    It needs Gradio: pip install 'minivdit[studio]'.

    examples:
      minivdit studio
      minivdit studio --weights runs/quick --port 8000
    """
    parser = commands.add(studio, text)
    parser.set_defaults(commands=commands.parsers.choices)
    add_weights(parser, "those that ship", action="append")
    host = "address to listen at; 0.0.0.0 lets everybody in who can reach this machine"
    parser.add("--host", str, host, "127.0.0.1")
    parser.add("--port", whole(1, 65535), "port to listen at (default: the first free one from 7860 on)")
    parser.add("--no-browser", bool, "print the address, and open no browser")
    add_device(parser)


def studio(options):
    from .. import studio as room

    prepare(options)
    if options.host not in ("127.0.0.1", "localhost", "::1"):
        note(f"whoever can reach {shorten(options.host)} can draw here; there is no password")
    fixed = [f"--{name}={getattr(options, name)}" for name in ("device", "kernels") if name in options.given]
    browser = not options.no_browser
    room.serve(options.commands, options.weights or (), fixed, options.host, options.port, browser)
