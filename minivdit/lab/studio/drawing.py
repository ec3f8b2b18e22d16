"""Commands run for the page: each step of the drawing is shown, and it can be stopped at any."""

import dataclasses
import io
import queue
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from ...autograd import load_twins
from ...base.errors import InputError
from ...data.reading import open_clip
from ...generation import TextToVideo
from ...generation.weights import shipped
from .. import explorer
from ..display import check_writable, write_grid
from ..explorer.collect import check_room

BEAT = 0.5  # seconds: so often the page hears something
PAUSE = 0.1  # seconds between two moments: a page that lags behind would show steps after Cancel
MOMENTS = 4  # denoising steps that the explorer keeps
SHARE = 3  # a step is decoded and shown only if that takes less than one in so many of the seconds
at_work = threading.Lock()


class Stopped(Exception):
    """Nobody waits for this drawing any more."""


@dataclasses.dataclass(frozen=True)
class Moment:
    """What there is to see of a drawing. name: of the weights at work. done, total: steps. seconds: since it began.

    clips: {what stands below: float32 (1, T, H, W, C)}, as they are now; empty where only the numbers are new.
    """

    name: str
    done: int
    total: int
    seconds: float
    clips: dict

    def __str__(self):
        return f"{self.name}: step {self.done} of {self.total}, {self.seconds:.1f} s"


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A finished drawing. gif, mp4: files, mp4 None where PyAV is missing. first: the file of its first clip alone.

    said: what the commands printed. calls: [(model, prompt, arguments)], the last call of `denoise` by each command;
    prompt: the caption that was typed, seed: the number that was chosen.
    """

    gif: Path
    mp4: Path | None
    first: Path
    said: str
    calls: list
    prompt: str
    seed: int


class Watched(TextToVideo):
    """A model that calls show(model, step, given) after each step, and keeps its last call of `denoise`."""

    def __init__(self, model, show):
        names = ("transformer", "autoencoder", "tokenizer", "settings", "notes", "name")
        super().__init__(*(getattr(model, name) for name in names))
        self.show, self.call, self.done, self.total = show, None, 0, 0

    def denoise(self, prompt, *arguments, **how):
        self.call = (prompt, {**how, "progress": None})
        states = super().denoise(prompt, *arguments, **how | {"progress": self._count})
        return self._shown(states, how.get("given"))

    def _count(self, done, total, flops):
        self.done, self.total = done, total

    def _shown(self, states, given):
        for step in states:
            self.show(self, step, given)
            yield step


class Studio:
    """Draws by the commands of the command line.

    commands: {name: Parser}. weights: of one's own, files or folders, beside those that ship. fixed: words that stand
    in every command line. folder: for the clips; a temporary one unless given.
    """

    def __init__(self, commands, weights=(), fixed=(), folder=None):
        self.commands, self.fixed, self.folder = commands, list(fixed), folder
        self.weights = [*weights, *(name for name in ("joint", "small") if name in shipped())]
        self.weights += [name for name in shipped() if name not in self.weights]
        patterns = [name for name in explorer.ORDER if name in shipped()]
        self.side_by_side = list(weights) if len(weights) > 1 else patterns
        self.models = {}
        load_twins()  # compiles operations if need be: now, and not in the first drawing
        for name in weights:
            self.model(name)  # says at once what can't be used

    def model(self, name):
        """The model of these weights; each is read once."""
        if name not in self.models:
            self.models[name] = TextToVideo.load(name)
        return self.models[name]

    def new_folder(self):
        return Path(tempfile.mkdtemp(prefix="clip-", dir=self.folder))

    def with_outputs(self, lines):
        """The lines as they are typed into a terminal: each with a file of its own to write."""
        names = [["--out", f"clip{number}.gif"] for number in range(1, len(lines) + 1)] if len(lines) > 1 else [[]]
        return [[command, *self.fixed, *out, *words] for (command, *words), out in zip(lines, names)]

    def draw(self, lines):
        """Run command lines that draw, [[command, word, ...]], one after the other; their clips stand side by side.

        A generator of Moments, and at last of a Drawn. Raises InputError as the commands do. Closing it stops them.
        """
        folder = self.new_folder()
        options = [self.commands[command].parse_args([*self.fixed, *words]) for command, *words in lines]
        for number, each in enumerate(options, 1):
            each.out = str(folder / f"clip{number if len(options) > 1 else ''}.gif")

        def work(show):
            models = [self.model(each.weights) for each in options]
            require_alike(models)
            names = labels(options, models)
            watch, calls, finished, said = Watch(show), [], {}, []
            for each, model, name in zip(options, models, names):
                watched = Watched(model, lambda *step, name=name: watch(finished, name, *step))
                each.load = lambda path, watched=watched: watched
                with Printed() as text:
                    each.run(each)
                said.append(text.getvalue().replace(f"{folder}/", ""))
                finished[name] = open_clip(each.out).video[None]
                calls.append((model, *watched.call))
            show(self._drawn(options, names, "\n".join(said), calls))

        yield from while_it_works(work)

    def _drawn(self, options, names, said, calls):
        """Write the files that there are beside those of the commands."""
        files = [Path(each.out) for each in options]
        clips = [open_clip(file) for file in files]
        gif = files[0]
        how = {"frames_per_second": clips[0].frames_per_second, "about": clips[0].about}
        video = np.stack([clip.video for clip in clips])
        if len(files) > 1:
            gif = gif.with_name("side_by_side.gif")
            write_grid(gif, video, captions=names, columns=len(files), **how)
        mp4 = gif.with_suffix(".mp4")
        try:
            check_writable(mp4)
            write_grid(mp4, video, captions=names, columns=len(files), **how)
        except InputError:  # without PyAV
            mp4 = None
        return Drawn(gif, mp4, files[0], said.strip(), calls, caption_of(options[0]), options[0].seed)

    def explore(self, drawn):
        """Draw again what was drawn, and record where each patch looked: Moments, and at last an Explorer."""

        def work(show):
            watch, recordings = Watch(show), []
            if any(how.get("overlap") for _, _, how in drawn.calls):
                raise InputError("a clip drawn in windows has no one map of attention; draw it without overlap")
            _, frames, *size, _ = drawn.calls[0][2]["given"].video.shape
            check_room([model for model, _, _ in drawn.calls], frames, tuple(size))
            for model, prompt, how in drawn.calls:
                watched = Watched(model, lambda *step: watch({}, drawn.prompt, *step))
                how = {**how, "num_frames": frames, "size": tuple(size), "weights": explorer.describe(model)}
                steps = how.get("steps") or model.settings.steps
                recordings.append(explorer.collect(watched, prompt, min(MOMENTS, steps), **how))
            show(explorer.Explorer(tuple(explorer.with_own_names(recordings)), drawn.prompt, drawn.seed))

        yield from while_it_works(work)


class Watch:
    """Makes Moments of steps, as often as the page can show them and the drawing isn't slowed down."""

    def __init__(self, show):
        self.show, self.began, self.told, self.shown, self.cost = show, time.perf_counter(), 0.0, 0.0, 0.0

    def __call__(self, finished, name, model, step, given):
        now = time.perf_counter()
        if now - self.told < PAUSE:
            return
        self.told, clip = now, None
        if now - self.shown > SHARE * self.cost:
            clip = model.decode(step.clean)
            clip = clip if given is None else given.keep(clip)
            self.shown = time.perf_counter()
            self.cost = self.shown - now
        clips = {} if clip is None else {**finished, name: clip}
        self.show(Moment(model.name, model.done, model.total, now - self.began, clips))


def require_alike(models):
    """Raise InputError unless the clips of these models can stand side by side."""
    for model in models[1:]:
        if (model.settings.num_frames, model.settings.size) != (models[0].settings.num_frames, models[0].settings.size):
            raise InputError(f"{models[0].name} and {model.name} draw clips of different sizes; draw them one by one")


def labels(options, models):
    """What stands below each clip: the caption below a single one, else names of weights that differ."""
    if len(models) == 1:
        return [caption_of(options[0])]
    names = [model.name for model in models]
    return names if len(set(names)) == len(names) else [each.weights for each in options]


def caption_of(options):
    """The caption of a command's options; sample takes several."""
    return options.prompt if isinstance(options.prompt, str) else options.prompt[0]


def while_it_works(work):
    """A generator of what work(show) shows while it runs in a thread; in between, every BEAT seconds, of None.

    What it raises is raised here. When this is closed, the next `show` there raises Stopped, and so it ends. Another
    one waits for that: there is only one at work.
    """
    shown, stop, done = queue.SimpleQueue(), threading.Event(), object()

    def show(thing):
        if stop.is_set():
            raise Stopped
        shown.put(thing)

    def run():
        try:
            with at_work:
                work(show)
            shown.put(done)
        except BaseException as error:
            shown.put(error)

    threading.Thread(target=run, name="minivdit-studio", daemon=True).start()
    try:
        while True:
            try:
                thing = shown.get(timeout=BEAT)
            except queue.Empty:
                thing = None
            if thing is done:
                return
            if isinstance(thing, BaseException):
                raise thing
            yield thing
    finally:
        stop.set()  # and not a word to wait for: whoever closes this may have a whole server to run


class Printed(io.StringIO):
    """Takes what this thread prints, in a `with` block; others print where they did."""

    def __enter__(self):
        self.thread, self.others = threading.get_ident(), (sys.stdout, sys.stderr)
        sys.stdout, sys.stderr = (_ByThread(self, other) for other in self.others)
        return self

    def __exit__(self, *error):
        sys.stdout, sys.stderr = self.others


class _ByThread(io.TextIOBase):
    def __init__(self, printed, other):
        self.printed, self.other = printed, other

    def write(self, text):
        mine = threading.get_ident() == self.printed.thread
        return self.printed.write(text) if mine else self.other.write(text)

    def flush(self):
        self.other.flush()
