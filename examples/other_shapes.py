"""Any length and any size: how good are clips that are longer, larger or of another aspect ratio than in training?

python examples/other_shapes.py

One digit a prompt; each share stands beside the same one for real clips of that shape, so a shape that is hard to judge
isn't held against the network.
"""

from matplotlib.figure import Figure

from minivdit.generation import TextToVideo
from minivdit.lab.display.strips import save_figure
from minivdit.lab.evaluation import judge_model

PROMPTS = 24
MEASURES = {"digit_frames": "frames with the right digit", "direction": "right direction", "obeys": "obeys"}

model = TextToVideo.load()
frames, (height, width) = model.settings.num_frames, model.settings.size
lengths = [(round(frames * factor), height, width) for factor in (0.5, 1, 1.5, 2, 3)]
side = model.autoencoder.config.factor * model.transformer.config.patch_size[1]  # pixels of a patch
tall_and_wide = ((0.75, 0.75), (1, 1), (1, 1.5), (1.5, 1), (1.25, 1.25), (1.5, 1.5), (2, 2))
sizes = [
    (frames, round(height * tall / side) * side, round(width * wide / side) * side) for tall, wide in tall_and_wide
]
trained = {(frames, height, width)}
for shape in model.notes.get("preset", {}).get("data", {}).get("shapes", []):  # such as 8x64x64:0.1
    trained.add(tuple(map(int, shape.partition(":")[0].split("x"))))

figures = {}
for shape in dict.fromkeys(lengths + sizes):
    report, *_ = judge_model(model, PROMPTS, seed=1, num_frames=shape[0], size=shape[1:])
    figures[shape] = report
    shares = ", ".join(
        f"{name} {report['clips'][name].mean:.2f} ({report['real'][name].mean:.2f})" for name in MEASURES
    )
    print(f"{shape[0]} frames, {shape[1]}x{shape[2]}: {shares}", flush=True)

figure = Figure(figsize=(10, 4.4), layout="constrained")
panels = {"frames": lengths, "height x width": list(dict.fromkeys(sizes))}
for axes, (title, shapes) in zip(figure.subplots(1, 2, sharey=True), panels.items()):
    for (name, label), marker in zip(MEASURES.items(), "os^"):
        points = [figures[shape]["clips"][name] for shape in shapes]
        spread = [[p.mean - p.low for p in points], [p.high - p.mean for p in points]]
        (line, *_) = axes.errorbar(
            range(len(shapes)), [p.mean for p in points], spread, marker=marker, capsize=3, label=label
        )
        real = [figures[shape]["real"][name].mean for shape in shapes]
        axes.plot(range(len(shapes)), real, color=line.get_color(), linestyle=":", label="the same of real clips")
    names = [str(s[0]) if title == "frames" else f"{s[1]}x{s[2]}" for s in shapes]
    axes.set_xticks(range(len(shapes)), [f"{n}*" if s in trained else n for n, s in zip(names, shapes)])
    axes.set(xlabel=f"{title}; * seen in training", ylim=(-0.02, 1.04))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
figure.suptitle(f"{PROMPTS} prompts a shape, 95% intervals", fontsize=10)
save_figure("other_shapes.png", figure)
print(f"other_shapes.png: {len(figures)} shapes")
