"""What is told of motion beside the caption: a path, a camera's pan, a motion brush.

All of them become maps on the latent grid, which the network gets as more channels beside the latents. A path says
where a digit is, and a pan or a brush says how fast what is there moves.
"""

import numpy as np

from ..base import values
from ..base.backend import to_device
from ..base.errors import InputError
from ..data import PIXELS_PER_FRAME, SPEEDS, field_maps, path_maps, velocity_fields
from ..data.captions import without_camera
from ..data.paths import tracks_of
from .sources import as_mask

# For each control what weights must have learnt, and the setting with which they do.
LEARNT = {
    "path": ("follow a path", "control"),
    "pan": ("pan", "velocities"),
    "brush": ("obey a brush", "velocities"),
}


def one_each(captions, clips):
    """A list of `clips` captions, from one for all or from one each."""
    captions = values.captions(captions) * (clips if isinstance(captions, str) else 1)
    if len(captions) != clips:
        raise InputError(f"{clips} clips need one caption for all or one each, not {len(captions)}")
    return captions


def motion_told(model, prompt, shape, frame_step, windows=None, *, path=None, pan=None, brush=None):
    """(captions, maps) of B clips: the captions without what they say of a camera, which becomes a pan.

    prompt: one caption or B. shape: (B, T, H, W, C) of the clips. frame_step: see VideoDiT. windows: see Predictor.
    path, pan, brush: see TextToVideo.draw. The maps are (B, T', h, w, control_channels) on the device, see VideoDiT;
    None if no motion is told.
    """
    (clips, num_frames, *size, _), config = shape, model.transformer.config
    captions = one_each(prompt, clips)
    said = [None] * clips
    if model.tokenizer.grammar:  # in other captions a camera is a word like any
        captions, said = zip(*map(without_camera, captions))
    if any(said):
        if pan is not None:
            raise InputError("a caption says how the camera pans, and a pan is given, too; leave one of them out")
        pan = frame_step * _pan_said(model, said, size)
    told = {"path": path, "pan": pan, "brush": brush}
    if all(control is None for control in told.values()):
        return list(captions), None
    for name, (does, setting) in LEARNT.items():
        if told[name] is not None and not getattr(config, setting):
            cure = f"train weights that are: --set transformer.{setting}=true"
            raise InputError(f"{model.name} wasn't trained to {does}; {cure}")
    pixels, maps = model.autoencoder.config, []
    frames, factors = pixels.latent_frames(num_frames), (pixels.factor, pixels.time_factor)
    if brush is not None and windows and frames > windows[0]:
        raise InputError("a brush speaks of the first frame, which later windows don't see; leave the overlap out")
    if config.control:
        tracks = np.full((clips, 1, num_frames, 2), np.nan) if path is None else tracks_of(path, clips, num_frames)
        if ((tracks < 0) | (tracks > np.array(size) - 1)).any():
            of = "x".join(map(str, size))
            raise InputError(f"a path must stay inside frames of {of} pixels; change its way points (y, x)")
        maps.append(path_maps(tracks, frames, size, *factors))
    if config.velocities:
        if isinstance(brush, list | tuple) and len(brush) == 2:
            brush = as_mask(brush[0]), brush[1]
        maps.append(field_maps(velocity_fields(clips, size, pan, brush), frames, *factors))
    return list(captions), to_device(np.concatenate(maps, axis=-1))


def _pan_said(model, said, size):
    """Pans (B, 2) in pixels a frame, from what captions say: see without_camera. Its speeds are those of digits."""
    pixels = model.learnt.get("pixels_per_frame", PIXELS_PER_FRAME)
    pans = np.zeros((len(said), 2))
    for pan, way in zip(pans, said):
        if way:
            step, speed = way
            pan[:] = np.array(step) / np.hypot(*step) * pixels[SPEEDS.index(speed)] * min(size) / 64
    return pans
