"""The plane as a surface in three dimensions.

mplot3d draws flat polygons. Every cell of the grid is therefore cut into smaller ones on the
bilinear patch through its four corners (no value is invented beyond that), and lit with normals
interpolated between the corners, so that the light changes smoothly and the grid does not show.
"""

import itertools
import math

import numpy as np
from matplotlib import colors
from matplotlib.cm import ScalarMappable
from matplotlib.transforms import Bbox
from mpl_toolkits.mplot3d import Axes3D, proj3d
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from . import planes, points, style, wording
from .errors import NotYetError

NARROWEST = 0.4  # the least horizontal side of the box
MOST_FACES = 60_000  # small faces drawn: beyond it cells are cut less finely
MOST_CELLS = 160_000  # beyond it only every k-th point is drawn, and the figure says so
WIDTH, TALL = 4.45, 3.75  # inches
BAR = 0.56  # length of the colour bar, the body being 1
HEIGHT = 0.66  # of the box, its longer horizontal side being 1
CORNER_ROOM = 0.07  # inches between tick labels of two axes
PALE = 0.55  # what is left of a colour where the values are guesses
AMBIENT, DIFFUSE, SPECULAR, SHININESS = 0.50, 0.56, 0.08, 24


def draw(surface, field, scale, head, label, elev=None, azim=None, cmap=None, legend=None):
    """A figure of one plane in 3D, seen from `elev` and `azim` degrees. `legend`: (inches below the body, what draws
    there, given the page)."""
    x, y, field = planes.ascending(surface.x, surface.y, field)
    field = points.fill(surface, field, scale)
    notes = points.notes(field, "interpolated (paler)") + scale.notes
    x, y, field, step = _thinned(x, y, field)
    if step > 1:
        notes.append(f"every {step}th point along each axis is drawn")
    cells = _Cells(x, y, scale.held(field.values), field.guessed, scale)
    if not cells.whole.any():
        raise NotYetError(f"{surface.path} has no four neighbouring evaluated points: try --kind heat")
    elev, azim = 32.0 if elev is None else elev, -57.0 if azim is None else azim
    if min(cells.box[:2]) == NARROWEST:
        notes.append("the axes are not to the same scale")
    page = style.Page(head, notes, _margins(label, scale, legend[0] if legend else 0.0), (WIDTH, TALL))
    axes = Axes3D(page.figure, rect=page.rectangle(), computed_zorder=False)
    page.figure.add_axes(axes)
    axes.view_init(elev=elev, azim=azim)
    cmap = style.color_map(cmap)
    norm = colors.Normalize(*scale.span)
    _box(axes, cells, x, y, scale, surface.settings, page.body[0])
    _fit(page, axes)
    if _part_labels(page, axes):
        _fit(page, axes)
    faces, shades = cells.faces(cmap, norm, _light(elev, azim))
    axes.add_collection3d(Poly3DCollection(
        faces, facecolors=shades, edgecolors=shades, linewidths=0.35, rasterized=True, zorder=5,
    ), autolim=False)
    _floor_marks(axes, x, y, field.nonfinite, scale)
    height = page.body[1]
    page.color_bar(ScalarMappable(norm, cmap), scale, label, bounds=(0.2 * height, BAR * height),
                   gap=0.16, extend=planes.extend(scale))
    if legend:
        legend[1](page)
    return page.figure


def _margins(label, scale, below):
    """Room for the colour bar, whose label may stand on two lines, and inches below the body."""
    label = wording.on_log_scale(label) if scale.log else label
    extra = 0.17 if "\n" in style.broken(label, 0.9 * TALL) else 0.0
    return style.Margins(0.15, 0.95 + extra, 0.05 + below)


def _thinned(x, y, field):
    """(x, y, field, step) with no more cells than can be drawn."""
    step = max(1, math.ceil(math.sqrt(len(x) * len(y) / MOST_CELLS)))
    return x[::step], y[::step], field.changed(lambda array: array[::step, ::step]), step


class _Cells:
    """The cells of a grid, in a box whose longer horizontal side is 1."""

    def __init__(self, x, y, z, guessed, scale):
        self.x, self.y, self.z = x, y, z  # z in drawing units, [ny, nx]
        self.guessed = _any_corner(guessed)
        self.low, self.high = scale.span
        width, depth = x[-1] - x[0], y[-1] - y[0]
        longer = max(width, depth)
        # A plane far from square is shown squarer than it is: a sliver could not be read.
        self.box = (max(width / longer, NARROWEST), max(depth / longer, NARROWEST), HEIGHT)
        finite = np.isfinite(z)
        self.whole = finite[1:, 1:] & finite[1:, :-1] & finite[:-1, 1:] & finite[:-1, :-1]

    def faces(self, cmap, norm, light):
        """([n, 4, 3] corners in data units, [n, 4] colours) of the small faces."""
        rows, columns = np.nonzero(self.whole)
        cuts = int(np.clip(math.sqrt(MOST_FACES / len(rows)), 1, 6))
        at = np.linspace(0.0, 1.0, cuts + 1)
        u, v = np.meshgrid(at, at)  # along x and along y within a cell
        z = _patch(self.z, rows, columns, u, v)
        x = self._along(self.x, columns, u)
        y = self._along(self.y, rows, v)
        points = np.stack([x, y, z], axis=-1)
        corners = np.stack([points[:, :-1, :-1], points[:, :-1, 1:], points[:, 1:, 1:],
                            points[:, 1:, :-1]], axis=-2).reshape(-1, 4, 3)
        middle = (at[1:] + at[:-1]) / 2
        u, v = np.meshgrid(middle, middle)
        slopes = self._slopes()
        dx, dy, height = (
            _patch(a, rows, columns, u, v).reshape(-1) for a in (*slopes, self.z)
        )
        shades = _lit(cmap(norm(height))[:, :3], dx, dy, light)
        pale = np.repeat(self.guessed[rows, columns], cuts * cuts)
        shades[pale, :3] = 1.0 - PALE * (1.0 - shades[pale, :3])
        return corners, shades

    @staticmethod
    def _along(points, index, share):
        start = points[index][:, None, None]
        return start + (points[index + 1] - points[index])[:, None, None] * share

    def _slopes(self):
        """dz/dx and dz/dy at the grid points in the box's own measure, [ny, nx]."""
        tall = self.box[2] / (self.high - self.low)
        wide = self.box[0] / (self.x[-1] - self.x[0])
        deep = self.box[1] / (self.y[-1] - self.y[0])
        return _slope(self.z.T, self.x).T * tall / wide, _slope(self.z, self.y) * tall / deep


def _any_corner(mask):
    """Of every cell: whether `mask` holds at one of its corners."""
    return mask[1:, 1:] | mask[1:, :-1] | mask[:-1, 1:] | mask[:-1, :-1]


def _patch(values, rows, columns, u, v):
    """Bilinear interpolation within cells: [cells, *u.shape]."""
    a, b, c, d = (
        values[rows + i, columns + j][:, None, None] for i, j in ((0, 0), (0, 1), (1, 0), (1, 1))
    )
    return a * (1 - u) * (1 - v) + b * u * (1 - v) + c * (1 - u) * v + d * u * v


def _slope(z, points):
    """Slope along the first axis: the mean of the two sides, or the one there is; else 0."""
    side = np.diff(z, axis=0) / np.diff(points)[:, None]
    known = np.isfinite(side)
    side = np.where(known, side, 0.0)
    total, count = np.zeros(z.shape), np.zeros(z.shape)
    for rows in (slice(None, -1), slice(1, None)):
        total[rows] += side
        count[rows] += known
    return total / np.maximum(count, 1)


def _light(elev, azim):
    """Unit vectors (towards the light, halfway between light and eye), in the box."""

    def unit(vector):
        return np.asarray(vector) / np.linalg.norm(vector)

    def towards(elevation, azimuth):
        e, a = math.radians(elevation), math.radians(azimuth)
        return np.array([math.cos(e) * math.cos(a), math.cos(e) * math.sin(a), math.sin(e)])

    lamp = towards(48.0, azim - 62.0)  # over the reader's left shoulder
    return lamp, unit(lamp + towards(max(elev, 5.0), azim))


def _lit(base, dx, dy, light):
    """Blinn and Phong's light on `base` [n, 3] where the surface has slopes dx, dy."""
    normal = np.stack([-dx, -dy, np.ones_like(dx)], axis=1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    lamp, half = light
    diffuse = np.clip(normal @ lamp, 0.0, 1.0)
    shine = np.clip(normal @ half, 0.0, 1.0) ** SHININESS
    shade = base * (AMBIENT + DIFFUSE * diffuse)[:, None] + SPECULAR * shine[:, None]
    return np.concatenate([np.clip(shade, 0.0, 1.0), np.ones((len(base), 1))], axis=1)


def _box(axes, cells, x, y, scale, settings, width):
    """Limits, ticks, panes and labels; `width` is that of the body in inches."""
    axes.set_box_aspect(cells.box, zoom=1.0)
    axes.set_xlim3d(x[0], x[-1], view_margin=0)
    axes.set_ylim3d(y[0], y[-1], view_margin=0)
    low, high = scale.span
    axes.set_zlim3d(low - 0.02 * (high - low), high + 0.02 * (high - low), view_margin=0)
    style.coordinate_ticks(axes.xaxis, x[0], x[-1])
    style.coordinate_ticks(axes.yaxis, y[0], y[-1])
    values, texts = scale.ticks(6)
    axes.set_zticks([scale.position(v) for v in values], labels=texts)
    longest = 72 * max((style.text_width(text, style.TICK) for text in texts), default=0.0)
    beside = -1.5 + 0.5 * max(0.0, longest - 15.0)  # points; mplot3d centres the labels there
    for axis, pad in ((axes.xaxis, -3.0), (axes.yaxis, -3.0), (axes.zaxis, beside)):
        axis.set_tick_params(pad=pad, labelsize=style.TICK - 0.5)
        axis.set_pane_color((0.965, 0.965, 0.965, 1.0))
        axis.line.set_color(style.GREY)
        axis.line.set_linewidth(0.6)
        axis._axinfo["grid"].update(color="#dddddd", linewidth=0.5)
        axis._axinfo["tick"].update(inward_factor=0.0, outward_factor=0.15)
    for number, write in ((1, axes.set_xlabel), (2, axes.set_ylabel)):
        label = style.broken(wording.axis_label(number, settings), 0.56 * width, style.LABEL - 1)
        write(label, labelpad=2 if "\n" in label else -2, fontsize=style.LABEL - 1)


def _fit(page, axes):
    """Moves and scales the box until it fills the body with its labels, from any side it is seen."""
    left, bottom, width, height = page.rectangle()
    aspect = page.size[0] / page.size[1]
    side = min(width * aspect, height)  # in figure heights; mplot3d draws into a square
    center = np.array([left + width / 2, bottom + height / 2])
    target = np.array([width, height])
    for _ in range(4):
        square = np.array([side / aspect, side])
        axes.set_position((*(center - square / 2), *square))
        page.figure.draw_without_rendering()
        drawn = page.figure.transFigure.inverted().transform_bbox(Bbox.union(
            [axis.get_tightbbox(page.figure.canvas.get_renderer())
             for axis in (axes.xaxis, axes.yaxis, axes.zaxis)] + [_box_bounds(axes)]
        ))
        center += (left + width / 2, bottom + height / 2) - (drawn.min + drawn.max) / 2
        side *= min(target / drawn.size)


def _part_labels(page, axes):
    """Moves tick labels of two axes that meet at a corner away from each other; whether any did."""
    renderer = page.figure.canvas.get_renderer()
    texts = [(number, tick.label1) for number, axis in enumerate((axes.xaxis, axes.yaxis, axes.zaxis))
             for tick in axis.get_major_ticks() if tick.label1.get_text()]
    boxes = [text.get_window_extent(renderer) for _, text in texts]
    room = CORNER_ROOM * page.figure.dpi
    moved = False
    for i, j in itertools.combinations(range(len(texts)), 2):
        if texts[i][0] == texts[j][0] or not boxes[i].padded(room).overlaps(boxes[j]):
            continue
        left, right = sorted((i, j), key=lambda k: boxes[k].x0 + boxes[k].x1)
        texts[left][1].set_horizontalalignment("right")
        texts[right][1].set_horizontalalignment("left")
        moved = True
    return moved


def _box_bounds(axes):
    """What the box itself covers, in pixels: the axes' own bounds leave its back corner out."""
    limits = (axes.get_xlim3d(), axes.get_ylim3d(), axes.get_zlim3d())
    corners = np.array(list(itertools.product(*limits))).T
    across, up, _ = proj3d.proj_transform(*corners, axes.get_proj())
    pixels = axes.transData.transform(np.column_stack([across, up]))
    return Bbox([pixels.min(axis=0), pixels.max(axis=0)])


def _floor_marks(axes, x, y, bad, scale):
    """On the floor below: the points without a finite value, where the surface has a hole."""
    rows, columns = np.nonzero(bad)
    if rows.size == 0:
        return
    low, high = scale.span
    floor = low - 0.02 * (high - low)
    across, up = np.clip(planes.edges(x), x[0], x[-1]), np.clip(planes.edges(y), y[0], y[-1])
    boxes = [
        [(across[c], up[r], floor), (across[c + 1], up[r], floor),
         (across[c + 1], up[r + 1], floor), (across[c], up[r + 1], floor)]
        for r, c in zip(rows, columns)
    ]
    axes.add_collection3d(Poly3DCollection(
        boxes, facecolors=style.NONFINITE, edgecolors=style.NONFINITE, linewidths=0.2, zorder=1,
    ), autolim=False)
