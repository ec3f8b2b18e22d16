"""What a training will cost on this machine, computed before anything runs."""

import dataclasses

from ...base import backend, machine
from ...base.errors import InputError
from ...base.ranks import here
from ...data import Shape
from ...data.mixed import equal_clips
from ...models import costs
from ...models.patches import clip_grid
from ...training import presets, recipes
from ...training.spread import shards_of
from ...training.stages import STAGES, frames_a_clip, tokenizer_of

# Of the speed of matrix products, what a training step reaches on 2 cores (Xeon, AVX-512): 0.24 and 0.25 for the
# transformers of the presets small and full, 0.34 and 0.27 for their autoencoders. The progress bar knows better.
USUAL_SHARE = 0.25


def token_grid(preset, shape=None):
    """(T, H, W) tokens of a clip of this shape (frames, height, width); of the preset's main one unless given."""
    num_frames, *size = shape or (preset.data.num_frames, *preset.data.size)
    return clip_grid(num_frames, size, preset.autoencoder, preset.transformer.patch_size)


def stage_costs(preset, setting, batch=None, data=None):
    """A list of the costs.Cost of a stage's training here, the main one first: for each shape that its batches have, or
    for the patterns with which it begins.

    setting: where the preset has the stage's settings, one of STAGES' values. batch: the preset's unless given. data:
    the folder of one's own clips, whose captions say which words there are; see training.stages.
    """
    settings, clips = getattr(preset, setting), preset.data
    batch = settings.batch if batch is None else batch
    shards = shards_of(settings, here())
    sharing = {"shards": shards, "threads": min(backend.thread_count(), shards)}
    if setting == "autoencoder_training":
        return [costs.autoencoder_cost(preset.autoencoder, frames_a_clip(preset), clips.size, clips=batch, **sharing)]
    tokenizer = tokenizer_of(preset, data)
    sharing |= {"vocabulary": len(tokenizer), "words": tokenizer.length}
    if setting == "text_training":
        return [costs.text_cost(preset.transformer, batch, **sharing)]
    main, others = (clips.num_frames, *clips.size), clips.shapes if setting == "finetuning" else ()
    found = [
        costs.clip_cost(preset.transformer, token_grid(preset, shape), equal_clips(batch, main, shape), **sharing)
        for shape in (main, *(Shape.read(text)[:3] for text in others))
    ]
    early = preset.diffusion.pattern_schedule() if setting == "training" else ()
    for patterns, _ in early:
        network = dataclasses.replace(preset.transformer, patterns=patterns)
        found.append(costs.clip_cost(network, token_grid(preset), batch, **sharing))
    return found


def step_flops(preset, setting, data=None):
    """FLOPs of a stage's training step on clips of the main shape, the mean over patterns that change on the way."""
    own, *others = (cost.training_flops for cost in stage_costs(preset, setting, data=data))
    shares = [share for _, share in preset.diffusion.pattern_schedule()] if setting == "training" else []
    return own * (1 - sum(shares)) + sum(share * flops for share, flops in zip(shares, others))


def require_memory(preset, setting, data=None):
    """Bytes that a stage's training takes here; InputError, with the largest batch that fits, if they aren't free."""

    def bytes_for(batch):
        return max(cost.training_memory for cost in stage_costs(preset, setting, batch, data))

    return machine.require_memory(bytes_for, getattr(preset, setting).batch, f"{setting}.batch")


def total_flops(preset, stages=tuple(STAGES), data=None):
    """FLOPs of a training, or of some of its stages."""
    steps = {STAGES[name]: getattr(preset, STAGES[name]).steps for name in stages}
    return sum(count * step_flops(preset, setting, data) for setting, count in steps.items() if count)


def with_flops(preset, flops, stages=tuple(STAGES)):
    """The Preset with so many FLOPs in these stages, up to half a step of each; each keeps its share of the steps."""
    factor, changed = flops / total_flops(preset, stages), {}
    for setting in (STAGES[name] for name in stages):
        settings = getattr(preset, setting)
        if settings.steps:
            steps = max(1, round(factor * settings.steps))
            changed[setting] = dataclasses.replace(settings, steps=steps, warmup=min(settings.warmup, steps - 1))
    return dataclasses.replace(preset, **changed)


def likely_minutes(preset, speed, stages=tuple(STAGES), data=None):
    """About how many minutes a training takes on CPUs, or some stages of it. speed: see machine.cores_speed."""
    return total_flops(preset, stages, data) / (USUAL_SHARE * speed) / 60


def _changes(preset, most=6):
    """A line that says which settings aren't those of the preset of this name; none where all are."""
    try:
        changed = presets.assignments(preset, recipes.get(preset.name))
    except InputError:
        return
    if changed:
        more = f" and {len(changed) - most} more" * (len(changed) > most)
        yield f"  but with {', '.join(changed[:most])}{more}"


def predict(preset, minutes=None, stages=tuple(STAGES), data=None):
    """What training will cost on this machine, as text, computed before anything runs. stages: of STAGES. data: see
    `stage_costs`.

    Raises InputError, with the largest batch that fits, if there isn't enough free memory for one of the stages.
    """
    stages = {name: STAGES[name] for name in stages if getattr(preset, STAGES[name]).steps}
    memory = {name: require_memory(preset, setting, data) for name, setting in stages.items()}
    ranks = here().size
    speed, on_cpu = ranks * machine.cores_speed(), backend.device_name() == "cpu"
    lines = [f"{preset.name}: {preset.summary}", *_changes(preset)]
    for name, setting in stages.items():
        settings, cost = getattr(preset, setting), stage_costs(preset, setting, data=data)[0]
        flops = step_flops(preset, setting, data)
        about = (
            f", {machine.about(likely_minutes(preset, speed, [name], data))}" * on_cpu
        )  # the share was measured on CPUs
        time = f"{settings.steps} steps{about}" if minutes is None else ""
        lines.append(
            f"  {name:12}{cost.parameters:>10,} parameters, {machine.amount(flops, 'FLOPs')} a step, "
            f"{machine.amount(memory[name])} of memory{', ' * bool(time)}{time}"
        )
    whose = "this machine" if ranks == 1 else f"all {ranks} ranks"
    lines.append(f"  {whose}: matrix products at {machine.amount(speed, 'FLOP/s')}")
    if minutes is not None:
        lines.append(f"  as many steps as fit into {minutes:g} minutes")
    if ranks > 1:
        lines.append("  if a rank is lost, all end; the same command then goes on from the last checkpoint")
    return "\n".join(lines)
