"""`minivdit costs`: FLOPs, memory and messages between ranks, predicted from a preset before anything runs."""

from ...base.errors import InputError
from .groups import add_set, add_shape
from .options import number, require_effect, several, whole


def add_costs(commands):
    text = """Say what a training costs, before anything runs.

    It prints the parameters, FLOPs, bytes moved and memory of each stage.

    With --ranks it prints instead what ranks send each other in a training step of the transformer, and how long that
    takes on a network. A message takes its latency, plus its bytes divided by the bandwidth. Each rank has a link of
    its own, as if it were alone on its machine. With --parallel sequence, ranks share out the frames of a clip that is
    drawn, and the figures are those of one call of the transformer.

    Several numbers of ranks make a table of weak scaling: each rank brings a shard of the preset's size, so the batch
    grows with the ranks.

    examples:
      minivdit costs full
      minivdit costs full --ranks 4 --set training.shards=4 --bandwidth 25
      minivdit costs full --ranks 1,16,256 --bandwidth 1,10 --latency 50,20
      minivdit costs full --ranks 4 --parallel sequence --frames 128
      minivdit costs full --set transformer.width=512
    """
    parser = commands.add(costs, text)
    parser.add("preset", str, "a preset or a recipe; see minivdit train", "full", nargs="?", metavar="PRESET")
    add_set(parser)
    parser.add("--ranks", several(whole(1, 16_384)), "number of ranks; several make a table (default: no ranks)")
    gigabits = "bandwidth of a rank's link, each way, in Gbit/s; each gets a column (default: 10)"
    parser.add("--bandwidth", several(number(0, 10**6)), gigabits, [10.0])
    microseconds = "latency of a message in microseconds; one, or one for each bandwidth (default: 20)"
    parser.add("--latency", several(number(0, 10**9)), microseconds, [20.0])
    shared = "what ranks share out: the shards of a batch, or the frames of a clip"
    parser.add("--parallel", ("data", "sequence"), shared, "data")
    add_shape(parser)
    speed = "speed of a rank in training, in GFLOP/s, for the table (default: about that of a core here)"
    parser.add("--speed", number(0, 10**9), speed)


def costs(options):
    from ...base import machine
    from ...training import presets, recipes
    from ...training.stages import tokenizer_of
    from ..pipeline import forecast, traffic

    if options.ranks is None:
        require_effect(options, "without --ranks", "bandwidth", "latency", "parallel", "frames", "size", "speed")
    elif options.parallel == "sequence":
        require_effect(options, "with --parallel sequence", "speed")
    else:
        require_effect(options, "without --parallel sequence", "frames", "size")
        if len(options.ranks) == 1:
            require_effect(options, "with one number of ranks", "speed")
    networks = networks_of(options)
    preset = presets.override(recipes.get(options.preset), options.set)
    if isinstance(preset, presets.OwnPreset):
        raise InputError(f"what {preset.name} costs depends on its clips; minivdit train says it before it begins")
    if options.ranks is None:
        for stage, setting in forecast.STAGES.items():
            if getattr(preset, setting).steps:
                print(f"{stage}: {forecast.stage_costs(preset, setting)[0]}\n")
    elif options.parallel == "sequence":
        shape = (options.frames or preset.data.num_frames, *(options.size or preset.data.size))
        grid, words = forecast.token_grid(preset, shape), tokenizer_of(preset).length
        for count in options.ranks:
            print(traffic.drawing_traffic(preset.transformer, grid, count, words=words).told(networks))
    elif len(options.ranks) == 1:
        print(traffic.training_traffic(preset, *options.ranks).told(networks))
    else:
        speed = 1e9 * options.speed if options.speed else forecast.USUAL_SHARE * machine.core_speed()
        clips, pace = traffic.clips_of_a_shard(preset), machine.amount(speed, "FLOP/s")
        print(f"prediction for {preset.name}: each rank has {clips} clips and computes at {pace}")
        print(traffic.weak_scaling(preset, options.ranks, networks, speed))


def networks_of(options):
    """The Networks that --bandwidth and --latency describe."""
    from ..pipeline.traffic import Network

    gigabits, microseconds = options.bandwidth, options.latency
    if len(microseconds) not in (1, len(gigabits)):
        raise InputError(f"{len(gigabits)} bandwidths and {len(microseconds)} latencies; give one latency, or as many")
    return [Network(*both) for both in zip(gigabits, microseconds * (len(gigabits) // len(microseconds)))]
