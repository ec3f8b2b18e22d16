"""A model judged: what it draws for random captions, beside real clips of them."""

import dataclasses

from ...base import machine, seeds, values
from ...base.errors import InputError, shorten
from ...data import PIXELS_PER_FRAME, USUAL_SPEEDS, CaptionedClips, digit_source, source_like
from ...generation.forecast import require_memory
from ...nn import fingerprint
from .judge import load_judge
from .kept_clips import drawn_clips
from .measures import MEASURES, PREVIEWED
from .metrics import clip_values, read_captions
from .observation import observe
from .report import evaluate

BYTES = 40  # of memory for a pixel of a clip: real clips twice, drawn and spoilt ones, and what tracking makes of them


def judge_model(
    model,
    prompts=200,
    *,
    num_digits=1,
    held_out="exclude",
    seed=0,
    data=None,
    digits=None,
    batch=32,
    num_frames=None,
    size=None,
    speeds=None,
    keep=None,
    progress=None,
    **drawing,
):
    """Draw clips for random captions and compare them with real ones: (Report, clips, real clips, captions).

    prompts: how many. num_digits: in each. held_out: "exclude" asks for what training showed, "only" for the pairs of
    digit and direction that no caption of the training had. speeds: some of those that it was trained on, all unless
    given. data: folder of MNIST. digits: source of the real clips; by
    default the one that the model was trained on. num_frames, size: of all clips; as in training unless given. keep:
    Path of a file for the drawn clips: see generation.kept.drawn_clips. drawing: see TextToVideo.generate.
    progress: see TextToVideo.denoise.
    """
    settings = model.settings
    if not settings.digit_size:
        raise InputError(
            f"{model.name} learnt no digits but clips of a folder, so nothing here can judge what it draws; beside "
            "clips of its folder it can be judged by 'minivdit evaluate --clips FOLDER'"
        )
    num_frames, size = values.whole("num_frames", num_frames, 1, default=settings.num_frames), size or settings.size
    prompts, batch, size = values.whole("prompts", prompts, 2), values.whole("batch", batch, 1), values.size(size)
    num_digits = values.whole("num_digits", num_digits, 1)
    require_memory(model, min(batch, prompts), num_frames, size)
    model.denoise("", num_frames, size, seed=seed, **drawing)  # says whether it can be drawn so
    require_judging_memory(prompts, num_frames, size, model.autoencoder.config.image_channels)
    generator = seeds.generator(seed, seeds.PROMPTS)
    maker = clip_maker(model, num_digits, held_out, num_frames, size, digits, data, speeds)
    real, others = real_clips(maker, generator, prompts)
    drawing |= {"num_frames": num_frames, "size": size}
    clips = drawn_clips(model, real.captions, keep, progress, seed=seed, batch=batch, **drawing)
    references, options = (real.video, others.video), {"pixels_per_frame": maker.pixels_per_frame}
    report = evaluate(clips, real.captions, references, settings.digit_size, generator, **options)
    asked = {
        "seed": seed,
        "held_out": held_out == "only",
        "digits": maker.source.name,
        "judge": fingerprint(load_judge()),
        "captions": real.captions,
    }
    report = dataclasses.replace(report, settings={**report.settings, **asked})
    return report, clips, real.video, real.captions


def require_judging_memory(prompts, num_frames, size, channels=1):
    """InputError, with the most that fit, if clips for so many prompts can't be judged."""
    pixels = num_frames * size[0] * size[1] * channels
    machine.require_memory(lambda count: BYTES * pixels * count, prompts, "prompts")


def clip_maker(model, num_digits, held_out, num_frames, size, digits=None, data=None, speeds=None):
    """CaptionedClips of the kind that a model was trained on, of digits that it didn't see; see judge_model."""
    known = tuple(model.learnt.get("speeds", USUAL_SPEEDS))
    strange = [speed for speed in speeds or () if speed not in known]
    if strange:
        raise InputError(f"{model.name} knows no speed {shorten(strange[0])!r}; choose among {', '.join(known)}")
    return CaptionedClips(
        digit_source(digits, "test", data) if digits else source_like(model.learnt.get("digits", "auto"), "test", data),
        size,
        num_frames,
        model.settings.digit_size,
        (num_digits,),
        tuple(speeds or known),
        held_out=held_out,
        synonyms=False,
        pixels_per_frame=tuple(model.learnt.get("pixels_per_frame", PIXELS_PER_FRAME)),
        colors=model.learnt.get("colors", False),
    )


def real_clips(maker, generator, count):
    """Clips of `count` random captions, twice: of the same captions, but other digits and places."""
    labels = [maker.draw_motions(generator) for _ in range(count)]
    return [maker.render(generator, labels) for _ in range(2)]


def shares(report):
    """(name, value, ceiling, floor) of the shares that have a floor, as `display.draw_metrics` takes them."""
    shown = [MEASURES[name] for name in report["clips"] if MEASURES[name].share and MEASURES[name].floor]
    return [(m.name, *(report[column][m.name].mean for column in ("clips", "real", m.floor))) for m in shown]


def preview_scores(video, captions, digit_size, pixels_per_frame=PIXELS_PER_FRAME):
    """Shares that show how a training gets on: {measure: mean over clips}, those of measures.PREVIEWED that it has.

    None where clips can't show it, as one frame doesn't show whether a digit stays what it is.
    """
    targets = read_captions(captions, video.shape[2:4], pixels_per_frame)
    observation = observe(video, digit_size, targets.count, pixels_per_frame=pixels_per_frame)
    values = clip_values(observation, targets)
    return {name: MEASURES[name].over_clips(values[name]).plain()["mean"] for name in PREVIEWED if name in values}
