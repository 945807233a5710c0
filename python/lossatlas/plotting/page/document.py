"""The page as one text: nothing in it is loaded from anywhere else."""

import base64
import hashlib
import html
import itertools
import os
import re

from . import content, records, scripts

FOLDER = os.path.dirname(os.path.abspath(__file__))


def render(files, options, names):
    """The document of these open files as bytes; `names` are what they are called where there are several."""
    held = content.of_files(files, options, names)
    parts = {"surfaces": _parts_of_surfaces, "curves": _parts_of_curves, "descent": _parts_of_descents}[held["kind"]](held)
    script = scripts.bundle(FOLDER, "start")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    parts |= {
        "TITLE": html.escape(held["title"]), "HASH": f"sha256-{digest}", "STYLE": _read("page.css"), "SCRIPT": script,
        "DATA": records.as_json(held),
    }
    # In one go: a mark within what was put in stays text.
    return re.sub("@([A-Z]+)@", lambda match: parts[match[1]], _read("template.html")).encode()


def _read(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return file.read()


def _paragraphs(texts):
    return "".join(f"<p>{html.escape(text)}</p>" for text in texts)


def _caption(view, several):
    name = f"<b>{html.escape(view['name'])}</b>: " if several else ""
    return f'<p class="partial" hidden></p><p class="caption">{name}{html.escape(view["caption"])}</p>'


def _parts_of_surfaces(held):
    views, several = held["views"], len(held["views"]) > 1
    run = _run(held) if any(view["runs"] for view in views) else ""
    body = "".join(_view(number, several, "" if several else run) for number in range(len(views))) + _slice(held, several)
    body += run if several else ""
    words = "".join((f"<h2>{html.escape(view['name'])}</h2>" if several else "")
                    + f'<div id="words-{number}">{_paragraphs(view["words"][held["field"]])}</div>' for number, view in enumerate(views))
    return {"MAIN": f'<div class="{"many" if several else "one runs" if run else "one"}" id="main">{body}</div>', "WORDS": words,
            "CAPTIONS": "".join(_caption(view, several) for view in views)}


def _view(number, several, below):
    """`below`: what stands below the surface in 3D."""
    head = '<h2></h2>' if several else ""
    return f"""
<section class="view">
  <div class="stage-side">{head}
    <div class="stage" tabindex="0" role="application" aria-describedby="words-{number}">
      <canvas></canvas><canvas></canvas><div class="tip" hidden></div>
      <p class="missing" hidden>The surface in 3D needs WebGL 2, which this browser does not have or has switched off.
      The map and the slice work without it.</p>
    </div>{below}
  </div>
  <div class="map" tabindex="0" role="application" aria-describedby="words-{number}"><canvas></canvas></div>
</section>"""


def _legend(items):
    """`items`: (text, colour's name, dashed or the lengths of its dashes in pixels)."""
    return '<ul class="legend">' + "".join(
        f'<li><i data-dash="{_lengths(dash)}" style="{_stroke(color, _lengths(dash))}"></i>{html.escape(text)}</li>'
        for text, color, dash in items) + "</ul>"


def _lengths(dash):
    return [6, 4] if dash is True else list(dash or [])


def _stroke(color, lengths):
    """CSS of a line in the legend; the border's colour is what a saved picture takes."""
    ends = list(itertools.accumulate(lengths))
    parts = [f"{'transparent' if n % 2 else f'var(--{color})'} {end - length:g}px {end:g}px"
             for n, (length, end) in enumerate(zip(lengths, ends))] or [f"var(--{color}) 0 100%"]
    return f"border-color: var(--{color}); background: repeating-linear-gradient(90deg, {', '.join(parts)})"


def _slice(held, several):
    legend = _legend([(view["name"], records.series_color(n), n % 2 == 1) for n, view in enumerate(held["views"])]) if several else ""
    return f"""
<section class="wide slice off" aria-label="Slice">
  <div class="panel-head"><h2>Slice</h2>
    <button type="button" id="along-x">Along x</button><button type="button" id="along-y">Along y</button>
    <button type="button" id="no-slice">None</button>
    <label><input type="checkbox" id="snap"> ends at grid points</label>
  </div>
  <p class="caption">Drag a line over the map, or choose an axis.</p>
  <p class="readout"><span id="slice-ends"></span> <span id="slice-value"></span></p>{legend}
  <div class="chart" id="slice"><canvas role="img" aria-label="Values along the slice"></canvas></div>
</section>"""


def _run(held):
    several = len(held["views"]) > 1
    items = []
    for view in held["views"]:
        for run in view["runs"]:
            label = f"{view['name']}, {run['label']}" if several else run["label"]
            items += [(label, *run["look"].values())] if held.get("descents") else [
                (f"{label}: checkpoints’ own", run["hue"], False), (f"{label}: in the plane", run["hue"], True)]
    what = "Descent" if held.get("descents") else "Trajectory"
    return f"""
<section class="wide" aria-label="{what}">
  <div class="panel-head"><h2>{what}</h2>
    <button type="button" id="play" aria-pressed="false">Play</button>
    <input type="range" id="step" min="0" max="1" step="0.01" aria-label="How far along">{_tangent_choice(held) if held.get("descents") else ""}
  </div>
  <p class="readout" id="run-value"></p>{_legend(items)}
  <div class="chart" id="run"><canvas role="img" aria-label="Values along the trajectory"></canvas></div>
</section>"""


def _tangent_choice(held):
    """Of which runs the tangent plane is shown: of many it would hide the rest."""
    runs = held["views"][0]["runs"]
    options = [("all", "all")] * (len(runs) > 1) + [(n, run["label"]) for n, run in enumerate(runs)] + [("none", "none")]
    chosen = "all" if len(runs) == 2 else 0
    return '<label>Tangent plane of <select id="tangent-of">' + "".join(
        f'<option value="{value}"{" selected" if value == chosen else ""}>{html.escape(text)}</option>'
        for value, text in options) + "</select></label>"


def _parts_of_descents(held):
    legend = _legend([(walk["label"], *walk["look"].values()) for walk in held["walks"]])
    steps = f"""
<section aria-label="Step by step">
  <div class="chart" role="img" aria-label="The position over the steps"><canvas></canvas></div>
</section>""" if held["walks"] else ""
    body = f"""
<section aria-label="The function">
  <div class="panel-head"><h2>Steps</h2>
    <button type="button" id="play" aria-pressed="false">Play</button>
    <input type="range" id="step" min="0" max="0" step="1" aria-label="Step">
  </div>{legend}
  <div class="chart tall" role="img" aria-label="The function, the steps on it, and the tangent" aria-describedby="words-0"><canvas></canvas></div>
  <p class="readout" id="tangent"></p><p class="readout" id="run-value"></p>
</section>{steps}"""
    return {"MAIN": f'<div id="main">{body}</div>', "WORDS": f'<div id="words-0">{_paragraphs(held["words"])}</div>',
            "CAPTIONS": f'<p class="caption">{html.escape(held["caption"])}</p>'}


def _parts_of_curves(held):
    partial = f'<p class="partial">{html.escape(held["partial"])}</p>' if held["partial"] else ""
    body = ""
    for panel in held["panels"]:
        legend = _legend([(each["label"], each["color"], each["dash"])
                          for each in panel["series"] if each["label"]])
        body += f"""
<section aria-label="{html.escape(panel['short'])}">{legend}
  <div class="chart tall" tabindex="0" role="application" aria-label="{html.escape(panel['label'])}: arrow keys go from point to point"
    aria-describedby="words-0"><canvas></canvas></div>
  <p class="readout"></p>
</section>"""
    return {"MAIN": f'<div id="main">{body}</div>', "WORDS": f'<div id="words-0">{_paragraphs(held["words"])}</div>',
            "CAPTIONS": f'{partial}<p class="caption">{html.escape(held["caption"])}</p>'}
