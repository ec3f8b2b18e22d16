"""The page itself, in Gradio: what is asked for on the left, what is drawn on the right."""

import contextlib
import functools
from html import escape

import gradio as gr
import numpy as np
from PIL import Image

from ...base.errors import InputError
from ...data.reading import open_clip
from ..display import html
from ..display.layout import enlargement, to_uint8, upscale
from .drawing import Drawn, Moment, at_work
from .inputs import BRUSHED, FILES, SHARED, TABS, TIMES, actions, command_line, command_lines, component

CAPTIONS = (
    "a 3 moving right",
    "an 8 moving up and left",
    "the digit five drifts slowly down and left",
    "a 0 moving quickly down and a 7 moving up",
    "a 3 moving right, then up",
)
EXPLAINED = {"Side by side": "Draw the same caption and the same noise with several weights."}
STYLE = """
#clip { min-height: 12rem }
.tab-container button { padding: 0 .5rem }
#clip img { image-rendering: pixelated; width: 100%; background: #282828 }
#state { min-height: 3rem }
#state .pending { opacity: 1 }
#state [data-testid="status-tracker"] { background: none; pointer-events: none } /* or it covers words, and Cancel */
#state .error { display: none } /* what went wrong stands there as a sentence; a cancelled drawing may end in it too */
"""
# On a phone the clip lies below the button.
TO_CLIP = "() => { document.getElementById('clip').scrollIntoView({block: 'nearest'}); return [] }"
PAINT = "#ff4081"
WAITS = "another clip is being drawn; yours waits for its turn"
PRIVATE = {"api_visibility": "private"}  # the page's own functions are no interface for programs


def looks():
    """What Gradio's launch wants to know of looks: no fonts but the machine's own, so that no other host is asked."""
    theme = gr.themes.Base(font=("system-ui", "sans-serif"), font_mono=("ui-monospace", "monospace"))
    return {"theme": theme, "css": STYLE}


def build(studio):
    """The page of a Studio, a gradio.Blocks."""
    captions = captions_to_try(studio)
    with gr.Blocks(title="minivdit studio", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown("# minivdit studio\nType a caption and draw. The clip shows while the noise is taken away.")
        with gr.Row():
            with gr.Column(scale=3, min_width=300):
                prompt = gr.Textbox(captions[0], label="caption", max_length=1000)
                if any(captions):
                    gr.Examples([[caption] for caption in captions], prompt, label="captions to try", **PRIVATE)
                with gr.Tabs():
                    tabs = {tab: tab_of(studio, tab) for tab in TABS}
                with gr.Accordion("How it is drawn", open=False):
                    shared = {"prompt": prompt, **settings_of(studio)}
            with gr.Column(scale=2, min_width=300):
                shown = results(studio, captions[0])
        shown["explorer"] = gr.HTML(elem_id="explorer")
        events = [wire(studio, tab, own, shared, shown) for tab, own in tabs.items()]
        looked = in_turn(shown["look"], functools.partial(explored, studio, shown), shown["drawn"], shown)
        said = {"fn": lambda: "cancelled", "outputs": shown["state"], "queue": False, **PRIVATE}
        # Twice: a step that was on its way to the page may come after the first.
        shown["cancel"].click(**said, cancels=[*events, looked]).then(**said)
    return page


def captions_to_try(studio):
    """Captions for the weights that are chosen at first: of digits, or of the clips from which they learnt."""
    model = studio.models.get(studio.weights[0])  # one's own have been read, and those that ship draw digits
    if model is None or model.settings.digit_size:
        return CAPTIONS
    return tuple(model.notes.get("captions", ())) or ("",)


def tab_of(studio, tab):
    """A tab: ({name: component} of its own inputs, its button, the button that takes the clip just drawn, or None)."""
    command, first, more = TABS[tab]
    parser, own, take = studio.commands[command], {}, None
    with gr.Tab(tab):
        gr.Markdown(EXPLAINED.get(tab) or parser.description.partition("\n\n")[0].replace("\n", " "))
        for name in first.split():
            own |= inputs_of(studio, parser, name, own)
        if own.keys() & set(FILES):
            take = gr.Button("Take the clip just drawn", size="sm")
        button = gr.Button(tab, variant="primary")
        with gr.Accordion("More for this tab", open=False):
            for name in more.split():
                own |= inputs_of(studio, parser, name, own)
    return own, button, take


def inputs_of(studio, parser, name, own):
    """{name: component} for one option. own: those that the tab has already."""
    action = actions(parser)[name]
    if name == "at":
        return keyframes(action)
    if name == "weights":
        return {name: gr.Dropdown(studio.weights, value=studio.side_by_side, multiselect=True, label=name)}
    if name in BRUSHED:
        source, meaning = BRUSHED[name]
        return {name: canvas(name, meaning, own[source])}
    return {name: component(gr, action)}


def keyframes(action):
    """Pairs of a time and a picture; which of them are given is up to the user."""
    gr.Markdown(action.help)
    own = {}
    for number in range(TIMES):
        with gr.Row():
            own[f"time {number}"] = gr.Textbox(label=f"time {number + 1}", min_width=80, scale=1)
            own[f"file {number}"] = gr.File(label=f"picture {number + 1}", height=110, scale=3)
    return own


def canvas(name, meaning, source):
    """Where to paint with a brush: on the first frame of the clip in the component `source`, once there is one."""
    paint = gr.Brush(colors=[PAINT], color_mode="fixed", default_size=24)
    how = {"sources": (), "transforms": (), "layers": False, "brush": paint, "buttons": [], "format": "png"}
    editor = gr.ImageEditor(label=f"{name}: {meaning}", canvas_size=(256, 256), visible=False, **how)
    source.change(background, source, editor, show_progress="hidden", **PRIVATE)
    return editor


def background(file):
    """What the brush paints on: the first frame, enlarged."""
    if file is None:
        return gr.update(value=None, visible=False)
    try:
        frame = upscale(to_uint8(open_clip(file).video[None, :1]))[0, 0]
    except InputError as error:
        raise told(error) from error
    picture = np.broadcast_to(frame, (*frame.shape[:2], 3))
    return gr.update(value={"background": picture, "layers": [], "composite": None}, visible=True)


def painted(value, file, path):
    """Write what was painted as a mask of the clip's own size: its path, or None where nothing was."""
    layers = [np.asarray(layer)[..., 3] > 0 for layer in (value or {}).get("layers", [])]
    area = np.any(layers, axis=0) if layers else np.zeros(1, bool)
    if file is None or not area.any():
        return None
    height, width = open_clip(file).video.shape[1:3]
    factor = enlargement(1, height, width)
    area = Image.fromarray(area).resize((width * factor, height * factor), Image.Resampling.NEAREST)
    touched = np.asarray(area).reshape(height, factor, width, factor).any(axis=(1, 3))
    Image.fromarray(touched).save(path)
    return str(path)


def settings_of(studio):
    """{name: component} of what all tabs share, but for the caption."""
    known = actions(studio.commands["sample"])
    weights = gr.Dropdown(studio.weights, value=studio.weights[0], label="weights")
    return {"weights": weights} | {name: component(gr, known[name]) for name in SHARED[2:]}


def results(studio, caption):
    """{name: component} of what a drawing shows. caption: the one that is there at first."""
    shown = {"clip": gr.HTML(elem_id="clip"), "state": gr.HTML("nothing drawn yet", elem_id="state")}
    small = {"size": "sm", "min_width": 80}
    with gr.Row():
        shown["cancel"] = gr.Button("Cancel", variant="stop", **small)
        shown["gif"] = gr.DownloadButton("GIF", interactive=False, **small)
        shown["mp4"] = gr.DownloadButton("MP4", interactive=False, **small)
    ((command, *words),) = command_lines(studio.commands, "Draw", {"prompt": caption, "weights": studio.weights[0]})
    how = {"interactive": False, "wrap_lines": True, "show_line_numbers": False, "buttons": ["copy"], "lines": 1}
    line = command_line([command, *studio.fixed, *words])
    shown["line"] = gr.Code(line, language="shell", label="the same on the command line", elem_id="line", **how)
    shown["said"] = gr.Textbox(label="what the command says", lines=2, max_lines=12, interactive=False)
    shown["look"] = gr.Button("Where did each patch look?", size="sm", interactive=False)
    shown["drawn"], shown["first"] = gr.State(), gr.State()
    return shown


def wire(studio, tab, own, shared, shown):
    """Connect a tab's buttons. Returns the event of drawing, for what cancels it."""
    inputs, button, take = own
    every = {**shared, **inputs}  # a tab's own weights instead of those for all tabs
    if take is not None:
        name = next(name for name in FILES if name in inputs)
        take.click(lambda file: file, shown["first"], inputs[name], show_progress="hidden", **PRIVATE)
    work = functools.partial(drawn, studio, shown, tab, list(every))
    return in_turn(button, work, list(every.values()), shown, js=TO_CLIP)


def in_turn(button, work, inputs, shown, js=None):
    """Connect a button to what draws, one clip at a time: who has to wait is told so. Returns the event of drawing."""
    told = {"outputs": shown["state"], "queue": False, "show_progress": "hidden", "js": js, **PRIVATE}
    how = {"show_progress_on": shown["state"], "concurrency_id": "drawing", **PRIVATE}
    waits = button.click(lambda: WAITS if at_work.locked() else "begins", **told)
    return waits.then(work, inputs, list(shown.values()), **how)


def drawn(studio, shown, tab, names, *received):
    """What the page shows while a tab's clip is drawn: a generator of {component: value}."""
    off = gr.update(interactive=False)
    buttons = {shown[name]: off for name in ("gif", "mp4", "look")}
    yield {shown["state"]: "begins", shown["line"]: "", shown["said"]: "", shown["explorer"]: "", **buttons}

    def moments():
        values = dict(zip(names, received))
        folder = studio.new_folder()
        for name in BRUSHED.keys() & values.keys():
            source, _ = BRUSHED[name]
            values[name] = painted(values[name], values[source], folder / f"{name}.png")
        lines = command_lines(studio.commands, tab, values)
        yield {shown["line"]: "\n".join(map(command_line, studio.with_outputs(lines)))}
        with contextlib.closing(studio.draw(lines)) as moments:
            yield from (seen(shown, moment) for moment in moments)

    yield from telling(shown, moments())


def explored(studio, shown, before):
    """What the page shows while attention is recorded, and the explorer at last."""
    with contextlib.closing(studio.explore(before)) as moments:
        changes = (seen(shown, moment) for moment in moments)
        yield from telling(shown, ({c: new for c, new in each.items() if c is not shown["clip"]} for each in changes))


def telling(shown, changes):
    """The changes, {component: value}; what can't be used is told as the sentence that it is."""
    try:
        yield from changes
    except (InputError, OSError, MemoryError) as error:
        message = told(error)
        yield {shown["state"]: message.message}
        raise message from error


def told(error):
    """An error as Gradio shows it: a sentence, with what was typed as text and not as HTML."""
    text = str(error) or "not enough memory; choose fewer frames or a smaller size"
    return gr.Error(escape(text), print_exception=False)


def seen(shown, moment):
    """{component: value} for what came of a drawing: a Moment, a Drawn, an Explorer, or None if nothing did."""
    if isinstance(moment, Moment):
        found = {shown["state"]: str(moment)}
        return found | ({shown["clip"]: moving(html.gif(moment.clips), str(moment))} if moment.clips else {})
    if isinstance(moment, Drawn):
        files = {"gif": moment.gif, "mp4": moment.mp4}
        return {
            shown["clip"]: moving(moment.gif.read_bytes(), moment.prompt),
            shown["state"]: "done" + " (MP4 needs PyAV: pip install 'minivdit[mp4]')" * (moment.mp4 is None),
            shown["said"]: moment.said,
            shown["look"]: gr.update(interactive=True),
            shown["drawn"]: moment,
            shown["first"]: str(moment.first),
            **{shown[n]: gr.update(value=file and str(file), interactive=bool(file)) for n, file in files.items()},
        }
    return {shown["explorer"]: moment._repr_html_(), shown["state"]: "done"} if moment else {shown["state"]: gr.skip()}


def moving(gif, meaning):
    return html.image(gif, "gif", meaning)
