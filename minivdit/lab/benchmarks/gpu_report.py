"""What was measured on a GPU, as lines, as a page, and as the tables of kernels/README.md."""

import math

WHERE = "machine"  # the section, and the cell, that say which GPU it was
CEILINGS = "ceilings"
RIVALS = ("flash", "cuDNN", "efficient")
SHOWN = ("S1", "S2", "M1", "M2")  # the shapes of the ladder's table
NOTES = 20  # of the summary


def line(cell, record):
    """A cell as one line of text."""
    return f"  {cell:72}{told(record)}"


def told(record):
    """What a cell measured, in words."""
    parts = [record["told"]] if "told" in record else []
    if "milliseconds" in record:
        low, high = record["quartiles"]
        parts.append(f"{record['median']:.3f} ms ({low:.3f}-{high:.3f})")
    if "flops" in record and record.get("median"):
        parts.append(f"{tflops(record):.1f} TFLOP/s")
    if "bytes" in record and record.get("median"):
        parts.append(f"{gigabytes(record):.0f} GB/s")
    if "errors" in record:
        parts.append(f"error {worst(record):.2g} of plain")
    for side, one in record.get("sides", {}).items():
        counted = "" if one["launches"] is None else f", {one['launches']} launches"
        host = "" if one["host"] is None else f", {one['host']:.2f} ms of the host alone"
        parts.append(f"{side} {one['median']:.2f} ms{counted}{host}")
    if "seconds" in record:
        parts.append(f"{record['seconds']:.1f} s")
    for name in ("gpu", "architecture", "driver", "processor", "versions", "note"):
        if name in record:
            parts.append(f"{name.upper() if name == 'note' else name} {record[name]}")
    return "; ".join(parts)


def tflops(record):
    """10^12 operations a second, of the median run."""
    return record["flops"] / record["median"] / 1e9


def gigabytes(record):
    """10^9 bytes a second, of the median run."""
    return record["bytes"] / record["median"] / 1e6


def worst(record):
    """The largest error of any result, in units of that of plain arithmetic."""
    return max((own / plain for own, plain in record["errors"].values() if plain), default=math.nan)


def safely(make, *arguments):
    """The text that make(*arguments) returns, or what is wrong with it: no text is worth the end of a measurement."""
    try:
        return make(*arguments)
    except Exception as error:
        return f"{make.__name__} can't be made: {error!r}"


def page(everything):
    """gpu.md: all cells, a table for each section."""
    lines = ["# Measured on a GPU", "", f"{where(everything)}. {everything['seconds']} seconds in all.", ""]
    lines += ["```", summary(everything), "```"]
    for section, cells in everything["sections"].items():
        lines += ["", f"## {section}", "", "| what | measured |", "|---|---|"]
        lines += [f"| {cell} | {_in_a_cell(told(record))} |" for cell, record in cells.items()]
    return "\n".join(lines) + "\n"


def _in_a_cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def where(everything):
    """The GPU, the versions, the date: what stands beside figures."""
    about = everything["sections"].get(WHERE, {}).get("machine", {})
    known = [f"{about['gpu']} (sm_{about['architecture']}), {about['versions']}"] if "gpu" in about else []
    return ", ".join([*known, everything["date"]])


def summary(everything):
    """A short table: ceilings, attention beside PyTorch's, training steps, and what has a note."""
    every, lines = everything_measured(everything), [where(everything)]
    for name, record in cells_of(everything, CEILINGS).items():
        if record.get("median"):
            lines.append(f"{name}: {told(record).partition('; ')[2]}")
    rows = beside_pytorch(everything)
    lines += ["  ".join(f"{text:9}" for text in row) for row in [PYTORCH, *rows] if rows]
    for name, record in every.items():
        if "sides" in record:
            sides = [f"{side} {one['median']:.2f} ms" for side, one in record["sides"].items()]
            lines.append(f"{name}: {', '.join(sides)}")
    noted = [name for name, record in every.items() if "note" in record]
    lines.append(f"{len(every)} cells, {len(noted)} with a note")
    lines += [f"  {name}: {every[name]['note']:.150}" for name in noted[:NOTES]]
    if len(noted) > NOTES:
        lines.append(f"  and {len(noted) - NOTES} others: see the page")
    return "\n".join(lines)


def cells_of(everything, section):
    """{cell: record} of a section, {} if there is no such."""
    return everything["sections"].get(section, {})


def everything_measured(everything):
    """{cell: record} of all sections."""
    return {cell: record for cells in everything["sections"].values() for cell, record in cells.items()}


def _found(everything, **wanted):
    """Records with a time that have these entries."""
    for record in everything_measured(everything).values():
        if record.get("median") and all(record.get(name) == value for name, value in wanted.items()):
            yield record


# --- tables of Markdown, as lists of rows of texts ------------------------------------------------------------

MACHINE = ["GPU", "versions", "cuBLAS bfloat16", "copy", "date"]
LADDER = ["file", "idea", "TFLOP/s", "of cuBLAS bf16", "error against float64"]
PYTORCH = ["shape", "direction", "dtype", "best rung", "TFLOP/s", *(f"PyTorch {name}" for name in RIVALS), "of flash"]
BESIDE = ["file", "idea", "GB/s forward", "GB/s backward", "of a copy"]
STEPS = ["training step", "ours, ms", "launches", "host alone, ms", "CuPy alone, ms", "PyTorch, ms", "ours / PyTorch"]


def tables(everything, text):
    """The tables of kernels/README.md, each a list of lines. everything: of gpu.json, or None: then cells stay empty.

    text: the page as it is: which files there are, and their ideas, is taken from it.
    """
    measured = everything or {"date": "", "sections": {}}
    return [
        _table(MACHINE, _machine(measured) if everything else []),
        _table(LADDER, [[*row, *_of_ladder(measured, row[0].strip("`"))] for row in _rows(text, LADDER)]),
        _table(PYTORCH, beside_pytorch(measured)),
        _table(BESIDE, [[*row, *_beside_attention(measured, row[0].strip("`"))] for row in _rows(text, BESIDE)]),
        _table(STEPS, _steps(measured)),
    ]


def _table(head, rows):
    return [
        f"| {' | '.join(line)} |".replace("|  |", "| |").replace("|  |", "| |")
        for line in (head, ["---"] * len(head), *rows)
    ]


def _rows(text, head):
    """The first two cells of each row of the table in a page that has this head."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if [part.strip() for part in line.strip("| ").split("|")] == head)
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return
        yield [part.strip() for part in line.strip("|").split("|")][:2]


def _machine(everything):
    about = cells_of(everything, WHERE).get("machine", {})
    rate, copied = _ceiling(everything, "cuBLAS bfloat16", tflops), _ceiling(everything, "copy", gigabytes)
    gpu = f"{about['gpu']} (sm_{about['architecture']})" if "gpu" in about else ""
    ceilings = [f"{rate:.0f} TFLOP/s" if rate else "", f"{copied:.0f} GB/s" if copied else ""]
    return [[gpu, about.get("versions", ""), *ceilings, everything["date"]]]


def _ceiling(everything, name, speed):
    """The speed of a cell of the ceilings, in TFLOP/s or GB/s, None if not known."""
    record = cells_of(everything, CEILINGS).get(name, {})
    return speed(record) if record.get("median") else None


def _of_ladder(everything, file):
    """The cells of a rung: each for all SHOWN shapes in turn, in bfloat16 where the rung reads that."""
    mine, rate = {}, _ceiling(everything, "cuBLAS bfloat16", tflops)
    for dtype in ("float32", "bfloat16"):
        mine |= {one["shape"]: one for one in _found(everything, who=file.removesuffix(".cu"), dtype=dtype)}
    if not mine.keys() & set(SHOWN):
        return ["", "", ""]
    speeds = [tflops(mine[shape]) if shape in mine else None for shape in SHOWN]
    shares = [] if rate is None else [_or_dash(speed and speed / rate, ".0%") for speed in speeds]
    error = max(worst(record) for record in mine.values())
    return [" / ".join(_or_dash(speed, ".1f") for speed in speeds), " / ".join(shares), f"{error:.2g} of plain"]


def beside_pytorch(everything):
    """Rows: of each shape, direction and dtype the fastest rung, and PyTorch's ways."""
    groups = {}
    for record in _found(everything):
        if "errors" in record:
            where_to = record["shape"], record["direction"], record["dtype"]
            groups.setdefault(where_to, {})[record["who"]] = record
    rows = []
    for where_to, sides in groups.items():
        ours = {who: record for who, record in sides.items() if not who.startswith("PyTorch")}
        if not ours:
            continue
        best = min(ours, key=lambda who: ours[who]["median"])
        theirs = [sides.get(f"PyTorch {name}") for name in RIVALS]
        row = [*where_to, best, f"{tflops(ours[best]):.1f}"]
        row += [_or_dash(record and tflops(record), ".1f") for record in theirs]
        rows.append([*row, _or_dash(theirs[0] and theirs[0]["median"] / ours[best]["median"], ".2f")])
    return rows


def _beside_attention(everything, file):
    """The cells of a kernel beside attention, float32 and rows of 1,024 numbers."""
    copied, name = _ceiling(everything, "copy", gigabytes), file.removesuffix(".cu")
    speeds = []
    for direction in ("forward", "backward"):
        found = list(_found(everything, who=name, direction=direction, dtype="float32", shape="1024 wide"))
        speeds.append(gigabytes(found[0]) if found else None)
    if speeds == [None, None]:
        return ["", "-" if name == "adamw_ema" else "", ""]
    shares = [] if copied is None else [_or_dash(speed and speed / copied, ".0%") for speed in speeds]
    return [*(_or_dash(speed, ".0f") for speed in speeds), " / ".join(shares)]


def _steps(everything):
    rows = []
    for name, record in everything_measured(everything).items():
        if "sides" not in record:
            continue
        step, sides = name.removeprefix("train "), record["sides"]
        ours, cupy, eager = (sides.get(side, {}) for side in ("ours", "cupy", "eager"))
        ratio = ours["median"] / eager["median"] if eager.get("median") else None
        times = (ours["host"], cupy.get("median"), eager.get("median"), ratio)
        row = [step, f"{ours['median']:.2f}", _or_dash(ours["launches"], "d")]
        rows.append(row + [_or_dash(time, ".2f") for time in times])
    return rows


def _or_dash(number, form):
    return "-" if number is None else f"{number:{form}}"
