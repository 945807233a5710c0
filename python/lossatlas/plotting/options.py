"""What the user chose, as values that do not change."""

from dataclasses import dataclass

from . import scales


@dataclass(frozen=True)
class Look:
    """How values are drawn. None: as the figure chooses."""

    log: bool | None = None
    vmin: float | None = None
    vmax: float | None = None
    levels: int | list | None = None  # about so many contour levels at round values, or these, in value units
    cmap: str | None = None
    aspect: float | None = None  # height over width; 0: both axes to one scale; None: so unless far from square
    smooth: bool = False  # a smooth surface through the points
    projections: tuple = ()  # files of paths to draw over a plane
    elev: float | None = None  # degrees: of the eye, in 3D
    azim: float | None = None
    floor: bool = True  # contours on the floor below the surface
    dpi: int = 300

    def scale(self, values, name):
        return scales.choose(values, name, self.log, self.vmin, self.vmax)


@dataclass(frozen=True)
class Options:
    """What is drawn, what is written about it, and where. None: not chosen."""

    files: tuple  # of paths
    look: Look = Look()
    out: tuple = ()
    kind: str | None = None
    animate: str | None = None
    watch: float | None = None  # seconds between two looks at the file
    field: str | None = None
    draw: int | None = None  # counted from 1
    scale: str | None = None  # of several planes: "one" or "each"
    at: tuple = ()  # (name, coordinate) of each axis that is fixed
    xlim: tuple | None = None
    ylim: tuple | None = None
    names: list | None = None
    numbers: bool = False
    title: str | None = None
    caption: bool = True
    size: tuple | None = None  # inches: (width, height), the latter None where it follows
    style: str = "paper"
    given: frozenset = frozenset()  # options of the command line that differ from their defaults
    axes: object = None  # matplotlib's, of a figure of the user's own, to draw into

    @property
    def file(self):
        return self.files[0]
