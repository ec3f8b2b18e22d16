"""Checks of chapter 18: weights in other layouts, levels from timesteps, what each GPU holds."""

from .exercise import agree, different, exercise


@exercise("conv_from_torch")
def ch18_conv(answer, generator):
    space = int(generator.integers(1, 4))
    *kernel, inputs, outputs = different(generator, space + 2, 2, 8)
    ours = generator.standard_normal((*kernel, inputs, outputs))
    theirs = ours.transpose(-1, -2, *range(space))
    agree(f"the kernel with {space} axes in space", answer(theirs), ours)


@exercise("interleaved")
def ch18_pairs(answer, generator):
    inputs, half, heads = different(generator, 3, 2, 7)
    weight = generator.standard_normal((inputs, heads * 2 * half))
    expected = weight.reshape(inputs, heads, 2, half).swapaxes(-1, -2).reshape(weight.shape)
    agree("the weight (in, heads d)", answer(weight, heads), expected)


@exercise("levels_from_timesteps")
def ch18_unshift(answer, generator):
    levels, shift = generator.random(int(generator.integers(3, 9))), float(generator.uniform(1.5, 8))
    levels[0] = 1
    sigma = shift * levels / (1 + (shift - 1) * levels)
    agree(f"the levels for a shift of {shift:.2f}", answer(1000 * sigma, shift), levels)


@exercise("bytes_on_each")
def ch18_memory(answer, generator):
    gpus = 2 ** int(generator.integers(1, 7))
    parameters = gpus * int(generator.integers(1_000, 1_000_000))
    for stage in generator.permutation(4).tolist():
        split = (0, 12, 14, 16)[stage]
        expected = (16 - split) * parameters + split * parameters // gpus
        agree(f"bytes on each of {gpus} GPUs, stage {stage}", answer(parameters, gpus, stage), expected, 1e-9)
