"""The HTML of a report: its figures, its style and nothing to be loaded."""

import base64
import html
import json
import os
import shlex
from dataclasses import dataclass, field

import matplotlib

from . import saving, style, wording
from .errors import one_line

DPI = 220  # of the figures that are pixels

# settings of a history -> options of `lossatlas train`, where they are more than --NAME VALUE
FLAGS = {"augment": "--augment", "nesterov": "--nesterov"}
OPTIONS = ("arch", "width", "data", "optimizer", "lr", "lr_schedule", "lr_steps", "lr_factor", "lr_epochs", "warmup",
           "momentum", "weight_decay", "delta", "rho", "betas", "batch_size", "seed", "device")
READERS = {  # of the numbers that only some optimizers have
    "momentum": ("sgd", "momentum", "nesterov"), "nesterov": ("sgd",), "delta": ("adagrad", "rmsprop", "adam", "adamw")}

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1a1a1a; --grey: #595959; --line: #dcdcdc; --card: #f6f6f6;
  --accent: #0b5ea8; --warning: #b33c00; }
@media screen and (prefers-color-scheme: dark) { :root { --paper: #15171c; --ink: #eceef2; --grey: #a4a9b3;
  --line: #3a3f49; --card: #1c1f26; --accent: #7cc0ff; --warning: #ff9d5c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem clamp(1rem, 3vw, 3rem) 4rem; max-width: 110rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h3 { font-size: .95rem; margin: 1.25rem 0 .35rem; }
p { margin: .3rem 0; }
a { color: var(--accent); }
.quiet { color: var(--grey); }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: 0; margin: 1rem 0 0; }
section { border-top: 1px solid var(--line); margin-top: 2rem; padding-top: 1.5rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem;
  align-items: start; margin: 1rem 0 0; }
figure { margin: 0; text-align: center; }
figure img { max-width: 100%; max-height: 44rem; height: auto; }
.alone img { width: 100%; max-width: 52rem; }
.beside { display: grid; gap: 0 2.5rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); align-items: start; }
.beside > * { min-width: 0; }
.beside h3:first-child { margin-top: 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; color: var(--grey); }
ul.facts { margin: .35rem 0 0; padding-left: 1.1rem; columns: 2 22rem; }
ul.facts li { break-inside: avoid; }
.hint { color: var(--warning); }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .6rem .8rem; margin: .35rem 0 0;
  font: .82rem/1.45 ui-monospace, "DejaVu Sans Mono", monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
pre span { display: inline-block; max-width: 100%; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: .15rem 1.5rem; margin: .35rem 0 0;
  font-size: .85rem; }
dl div { display: flex; gap: .6rem; border-bottom: 1px solid var(--line); padding: .15rem 0; }
dt { color: var(--grey); white-space: nowrap; }
dd { margin: 0 0 0 auto; text-align: right; overflow-wrap: anywhere; min-width: 0; }
summary { cursor: pointer; margin-top: 1rem; color: var(--accent); }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } nav, details { display: none; }
  figure, table, pre { break-inside: avoid; } h2, h3 { break-after: avoid; } .figures { grid-template-columns: 1fr 1fr; }
  .figures.alone, .beside { grid-template-columns: 1fr; } .scroll { overflow: visible; } table { font-size: 8pt; }
  th, td { white-space: normal; padding-right: .5rem; }
  figure img { max-height: 11cm; } a { color: inherit; text-decoration: none; } }
""".strip()

NAMES = {"history": "training", "surface": "surface", "trajectory": "trajectory", "line": "line", "curve": "curve",
         "curvature": "curvature", "sharpness": "sharpness", "descent": "descents", "directions": "directions"}


@dataclass
class Section:
    """One file of the run, ready to be put on the page. `facts` and `hints` are short texts."""

    name: str  # its path from the folder around the run
    kind: str
    pictures: list = field(default_factory=list)
    facts: list = field(default_factory=list)
    hints: list = field(default_factory=list)
    columns: dict = field(default_factory=dict)  # what the overview says of it
    settings: dict = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)
    summary: dict = field(default_factory=dict)
    called: dict = field(default_factory=dict)  # SHA-256 of what it was made from -> what that is called


@dataclass
class Picture:
    """One figure, for light and for dark screens: data URIs."""

    light: str
    dark: str
    caption: str


def picture(figure_on, extension):
    """The figure that `figure_on` draws on the ground of a theme, '.png' or '.svg', on a light and on a dark one."""
    uris = []
    for theme in ("paper", "dark"):
        style.apply(theme)
        matplotlib.rcParams["svg.fonttype"] = "path"  # the reader may not have the font
        figure = figure_on(theme)
        data = base64.b64encode(saving.render(figure, extension, DPI)).decode()
        uris.append(f"data:image/{'png' if extension == '.png' else 'svg+xml'};base64,{data}")
    return Picture(*uris, one_line(figure.get_label()))


def _e(text):
    return html.escape(str(text), quote=True)


def html_of(name, checkpoints, sections, problems):
    history = next((section for section in sections if section.kind == "history"), None)
    settings = next((section.settings for section in sections if section.settings), {})
    others = [section for section in sections if section is not history]
    what = wording.title("", settings).strip()
    facts = history.facts if history else []
    body = [f"<header><h1>{_e(name)}</h1>"]
    if what or facts:
        body.append(f'<p class="quiet">{_e(" · ".join([what.removeprefix("of ").removeprefix("on "), *facts]).strip(" ·"))}</p>')
    links = ([("training", "training")] if history or checkpoints else []) + [
        (f"file-{number}", section.name) for number, section in enumerate(others) if section.pictures]
    body.append("<nav><ul>" + "".join(f'<li><a href="#{anchor}">{_e(text)}</a></li>' for anchor, text in links) + "</ul></nav></header>")
    body += _problems(problems)
    if history or checkpoints:
        body += _training(name, history, checkpoints)
    body += _overview_table(others)
    body += [text for number, section in enumerate(others) if section.pictures for text in _file(section, number)]
    rest = [section.name for section in others if not section.pictures]
    if rest:
        body.append(f'<section><h2>Also there</h2><p>Directions: {_e(", ".join(rest))}</p></section>')
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return "\n".join(["<!DOCTYPE html>", '<html lang="en"><head><meta charset="utf-8">',
                      f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
                      '<meta name="viewport" content="width=device-width, initial-scale=1">',
                      f"<title>{_e(name)}: report</title>", f"<style>{STYLE}</style></head><body>", *body,
                      "</body></html>", ""])


def _problems(problems):
    if not problems:
        return []
    items = "".join(f"<li><b>{_e(name)}</b>: {_e(text)}</li>" for name, text in problems)
    return [f'<section><h2 class="hint">Not shown</h2><ul>{items}</ul></section>']


def _training(name, history, checkpoints):
    body = []
    if history:
        body.append(_table("", history.columns))
    if checkpoints:
        size = sum(map(os.path.getsize, checkpoints)) / 1e6
        first, last = os.path.basename(checkpoints[0]), os.path.basename(checkpoints[-1])
        names = first if len(checkpoints) == 1 else f"{first} … {last}"
        body.append(f'<p class="quiet">{len(checkpoints)} checkpoint{"s" * (len(checkpoints) > 1)}: {_e(names)}, {size:.3g} MB</p>')
    if history:
        last = history.columns["last"].get("epoch")
        is_ours = last is not None and "arch" in history.settings  # else it was trained by another program
        command = _command(_train_command(history.settings, last, name)) if is_ours else []
        body = _beside(history.pictures, [*body, *command])
        body += _settings(history.settings, history.called)
    return ['<section id="training"><h2>Training</h2>', *body, "</section>"]


def _beside(pictures, texts):
    """One figure has the texts beside it where the page is wide; several stand side by side above them."""
    if len(pictures) == 1:
        return ['<div class="beside">', _figures(pictures), "<div>", *texts, "</div></div>"]
    return [_figures(pictures), *texts]


def _overview_table(sections):
    rows = {section.name: {"what": NAMES[section.kind], **section.columns} for section in sections if section.pictures}
    if not rows:
        return []
    return ['<section id="overview"><h2>Overview</h2>', _table("file", rows), "</section>"]


def _table(corner, rows):
    """`rows`: name -> {column: text}. Columns without a text are left out."""
    columns = list(dict.fromkeys(name for row in rows.values() for name, text in row.items() if text))
    head = "".join(f"<th>{_e(name)}</th>" for name in columns)
    lines = "".join(f"<tr><th>{_e(name)}</th>" + "".join(f"<td>{_e(row.get(column, ''))}</td>" for column in columns) + "</tr>"
                    for name, row in rows.items())
    return f'<div class="scroll"><table><tr><th>{_e(corner)}</th>{head}</tr>{lines}</table></div>'


def _figures(pictures):
    drawn = "".join(
        f'<figure><picture><source media="screen and (prefers-color-scheme: dark)" srcset="{picture.dark}">'
        f'<img src="{picture.light}" alt="{_e(picture.caption)}"></picture></figure>' for picture in pictures)
    return f'<div class="figures{" alone" * (len(pictures) == 1)}">{drawn}</div>'


def _file(section, number):
    texts = []
    if section.facts or section.hints:
        texts.append("<h3>Numbers</h3>")
        texts.append('<ul class="facts">' + "".join(f"<li>{_e(fact)}</li>" for fact in section.facts) + "".join(
            f'<li class="hint">{_e(hint)}</li>' for hint in section.hints) + "</ul>")
    if isinstance(section.provenance.get("command"), str):
        texts += _command(section.provenance["command"])
    body = [f'<section id="file-{number}"><h2>{_e(section.name)}</h2>', f'<p class="quiet">{_e(_origin(section))}</p>',
            *_beside(section.pictures, texts), *_settings(section.settings, section.called)]
    for title, record in (("Numbers as JSON", section.summary), ("Where it comes from, as JSON", section.provenance)):
        if record:
            text = json.dumps(record, indent=1, ensure_ascii=False)
            body.append(f"<details><summary>{title}</summary><pre>{_e(text)}</pre></details>")
    return [*body, "</section>"]


def _command(line):
    """A command line that breaks between words alone: a browser breaks behind hyphens as well."""
    words = " ".join(f"<span>{_e(word)}</span>" for word in line.split())
    return ["<h3>Made again by</h3>", f"<pre>{words}</pre>"]


def _origin(section):
    """'surface, made from epoch-0024.pt by Lossatlas 0.1.0'"""
    names = list(section.called.values())
    files = [f"{name} ({sha256[:12]}…)" if names.count(name) > 1 else name for sha256, name in section.called.items()]
    made = f", made from {', '.join(files[:4])}{' …' * (len(files) > 4)}" if files else ""
    version, started = (section.provenance.get(name) for name in ("version", "started"))
    return (f"{wording.capital(NAMES[section.kind])}{made}" + (f" by Lossatlas {version}" if isinstance(version, str) else "")
            + (f", begun {started.replace('T', ' ').rstrip('Z')} UTC" if isinstance(started, str) else ""))


def _settings(settings, called):
    if not settings:
        return []
    def text(name, value):
        return f"{str(value)[:12]}…" if name.endswith("_sha256") else _text(value, called)

    items = "".join(f"<div><dt>{_e(name.replace('_', ' '))}</dt><dd>{_e(text(name, value))}</dd></div>"
                    for name, value in sorted(settings.items()) if value not in (None, "", [], {}))
    return ["<h3>Settings</h3>", f"<dl>{items}</dl>"]


def _text(value, called):
    """A setting in few words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(_text(each, called) for each in value)
    if isinstance(value, dict) and {"file", "sha256"} <= value.keys():
        return f"{called.get(value['sha256'], value['file'])} (SHA-256 {str(value['sha256'])[:12]}…)"
    if isinstance(value, dict) and {"name", "points", "low", "high"} <= value.keys():
        low, high = (_text(value[end], called) for end in ("low", "high"))
        return f"{value['name']}: {value['points']} points from {low} to {high}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _train_command(settings, epochs, folder):
    """The command that makes such a run again, from the settings of its history."""
    words = ["lossatlas", "train"]
    settings = {name: value for name, value in settings.items()
                if name not in READERS or settings.get("optimizer") in READERS[name]}
    for name in OPTIONS:
        value = settings.get(name)
        if value is None or value == "" or value == [] or (name == "width" and value == 0):
            continue
        text = ",".join(map(str, value)) if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else str(value)
        words += [f"--{name.replace('_', '-')}", text]
    words += ["--epochs", str(epochs)] + [flag for name, flag in FLAGS.items() if settings.get(name) is True]
    return shlex.join([*words, "--out", folder])
