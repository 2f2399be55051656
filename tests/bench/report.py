# SPDX-License-Identifier: LGPL-2.1-or-later
"""The figures as tables and as a picture. Figures are nanoseconds by row and workload."""

from .measure import KIB, MIB, WORKLOADS, Workload


def _alone(read, write, large_read):
    """Figures at depth 1, from microseconds."""
    return {Workload("read", 4 * KIB, 1): read * 1000, Workload("write", 4 * KIB, 1): write * 1000,
            Workload("read", MIB, 1): large_read * 1000}


# What a user would take instead, measured once in the same lab and clock: 192 MiB of guest, 64 MiB
# of image in dom0's memory, dd with direct I/O. The first is Linux' xen-blkback over a loop device;
# the others are one user-space virtio-blk backend that maps the guest at once, or for each request.
REFERENCES = {
    "PV backend in dom0's kernel": _alone(51, 54, 1100),
    "IOREQ backend, mapped ahead": _alone(110, 114, 750),
    "IOREQ backend, by request": _alone(220, 210, 3200),
}

SIZES = {4 * KIB: "4 KiB", MIB: "1 MiB"}

# The picture: one panel for each size, one group of bars for each workload, one bar for each row.
PANEL, LABEL, BAR, GAP, HEADING, AXIS = 570, 200, 290, 18, 26, 50
# Of each way, three shades for its paths.
COLOURS = ("#1b4f8f", "#2f80c9", "#7ab8e6", "#14735a", "#35a884", "#8fd3bd",
           "#5b6b12", "#8ea32b", "#c6d36f", "#7a3b0c", "#c46a23", "#e8ab78",
           "#5a2a82", "#8e57bd", "#c3a2e0")
REFERENCE_COLOUR = "#b8b8b8"
STYLE = """\
<style>
text { font: 12px sans-serif; fill: #222 }
.title { font-size: 15px; font-weight: bold }
.group { font-weight: bold }
.name { text-anchor: end }
.tick { text-anchor: middle; fill: #666 }
line { stroke: #ddd }
</style>"""


def tables(figures):
    """One table for each size, in Markdown."""
    lines = []
    for size, name in SIZES.items():
        loads = [load for load in WORKLOADS if load.size == size]
        titles = [f"{load.operation}, depth {load.depth}" for load in loads]
        width = max(map(len, [*figures, *REFERENCES]))
        lines += ["| " + " | ".join([f"{f'ns for {name}':<{width}}", *titles]) + " |",
                  "|" + "|".join(["-" * (width + 2)] + ["-" * (len(title) + 1) + ":"
                                                       for title in titles]) + "|"]
        for row, values in {**figures, **REFERENCES}.items():
            cells = [f"{values[load]:>{len(title)},}" if load in values else " " * len(title)
                     for load, title in zip(loads, titles, strict=True)]
            lines.append("| " + " | ".join([f"{row:<{width}}", *cells]) + " |")
        lines.append("")
    return "\n".join(lines)


def difference(first, second):
    """The largest difference of two runs, as text."""
    def relative(row, load):
        return abs(second[row][load] / first[row][load] - 1)

    row, load = max(((row, load) for row in first for load in WORKLOADS),
                    key=lambda key: relative(*key))
    return (f"{relative(row, load):.2%} ({row}: {load.operation} of {SIZES[load.size]} at depth "
            f"{load.depth}, {first[row][load]:,} and {second[row][load]:,} ns)")


def _tick_step(largest):
    """The distance of an axis' ticks: at most six of them, and round."""
    return next(step * power for power in (1, 10, 100, 1000) for step in (5, 10, 20)
                if largest <= 6 * step * power)


def _text(x, y, words, kind=""):
    return f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}">{words}</text>'


def _bars(load, figures, left, top, scale):
    """One group; returns its elements and where it ends."""
    parts = [_text(left, top + 14, f"{load.operation}, depth {load.depth}", "group")]
    top += HEADING - 6
    colours = [*COLOURS[:len(figures)], *[REFERENCE_COLOUR] * len(REFERENCES)]
    for (row, values), colour in zip({**figures, **REFERENCES}.items(), colours, strict=True):
        if load not in values:
            continue
        microseconds = values[load] / 1000
        parts += [_text(left + LABEL - 6, top + 11, row, "name"),
                  f'<rect x="{left + LABEL}" y="{top}" width="{microseconds * scale:.1f}" '
                  f'height="{GAP - 4}" fill="{colour}"/>',
                  _text(left + LABEL + microseconds * scale + 4, top + 11,
                        f"{microseconds:,.1f}" if load.size < MIB else f"{microseconds:,.0f}")]
        top += GAP
    return parts, top + GAP - HEADING + 16


def _panel(size, figures, left):
    """All of one size; returns its elements and where it ends."""
    loads = [load for load in WORKLOADS if load.size == size]
    largest = max(values[load] for values in [*figures.values(), *REFERENCES.values()]
                  for load in loads if load in values) / 1000
    scale, step = BAR / largest, _tick_step(largest)
    bars, top = [], 40
    for load in loads:
        group, top = _bars(load, figures, left, top, scale)
        bars += group
    parts = [_text(left, 24, f"{SIZES[size]} requests", "title")]
    for tick in range(0, int(largest) + 1, step):
        x = left + LABEL + tick * scale
        parts += [f'<line x1="{x:.1f}" y1="40" x2="{x:.1f}" y2="{top}"/>',
                  _text(x, top + 16, f"{tick:,}", "tick")]
    parts.append(_text(left + LABEL + BAR / 2, top + 36, "microseconds for a request", "tick"))
    return parts + bars, top + AXIS


def picture(figures):
    """An SVG: how long a request of each kind takes; shorter is better."""
    panels = [_panel(size, figures, 12 + number * PANEL) for number, size in enumerate(SIZES)]
    width, height = PANEL * len(panels), max(end for _, end in panels)
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}">',
        STYLE, '<rect width="100%" height="100%" fill="white"/>',
        *[part for parts, _ in panels for part in parts], "</svg>", ""])
