"""Commands as newcomers type them, wrongly or half, and the one line that answers each: it names what to type instead."""

import shlex
import shutil

import pytest

import helpers

# Command, exit status, and the answer or its beginning. Here are: run/ (of train, resnet20), m.pt (its last checkpoint),
# s.h5 (a surface), empty/, notes.txt.
COMMANDS = """
lossatlas | 2 | no command given; there are train, surface, line, trajectory, layers, curve, curvature, descend, export, convert, merge, info, plot
lossatlas help | 2 | unknown command 'help'; type lossatlas --help, or lossatlas COMMAND --help
lossatlas surface help | 2 | unexpected argument 'help'; type lossatlas surface --help
lossatlas -v | 2 | unknown option '-v', did you mean '--version'?; see lossatlas --help
lossatlas run | 2 | unknown command 'run'; there are train, surface,
lossatlas trian | 2 | unknown command 'trian', did you mean 'train'?
lossatlas --grid 51 | 2 | unknown option '--grid'; see lossatlas --help

lossatlas train | 2 | --arch is required: the architecture; `lossatlas info --archs` lists them
lossatlas train --arch mlp | 2 | --data is required: synthetic[:N], cifar10:DIR, cifar100:DIR[:coarse], mnist:DIR, images:DIR, npz:FILE, hdf5:FILE or tokens:FILE[:T]
lossatlas train mlp --data synthetic | 2 | unexpected argument 'mlp', did you mean '--arch mlp'?
lossatlas train --model mlp --data synthetic | 2 | unknown option '--model', did you mean '--arch'?
lossatlas train --arch cnn --data synthetic | 2 | unknown architecture 'cnn': `lossatlas info --archs` lists them
lossatlas train --arch ResNet-18 --data synthetic | 2 | unknown architecture 'ResNet-18', did you mean 'resnet18'?
lossatlas train --arch mlp --data cifar | 2 | --data cifar: unknown kind of data; requires synthetic[:N], cifar10:DIR
lossatlas train --arch mlp --data cifar10 | 2 | --data cifar10: requires the folder of its files, as in cifar10:DIR
lossatlas train --arch mlp --data ./empty | 2 | --data ./empty: unknown kind of data; requires synthetic[:N], cifar10:DIR, cifar100:DIR[:coarse], mnist:DIR, images:DIR, npz:FILE, hdf5:FILE or tokens:FILE[:T]; of a folder as in cifar10:./empty
lossatlas train --arch mlp --data cifar10:empty | 1 | empty: no data_batch_1.bin here
lossatlas train --arch mlp --dataset synthetic | 2 | unknown option '--dataset', did you mean '--data'?
lossatlas train --arch mlp --data synthetic --lr | 2 | --lr requires a value (learning rate
lossatlas train --arch mlp --data synthetic --lr 1 --lr 2 | 2 | --lr is given 2 times; give it once
lossatlas train --arch mlp --data synthetic --lr 0,1 | 2 | --lr: 0,1: requires a number above 0
lossatlas train --arch mlp --data synthetic --learning-rate 1 | 2 | unknown option '--learning-rate', did you mean '--lr'?
lossatlas train --arch mlp --data synthetic --optim adam | 2 | unknown option '--optim', did you mean '--optimizer'?
lossatlas train --arch mlp --data synthetic --optimizer Adam | 2 | --optimizer Adam: requires gd, sgd,
lossatlas train --arch mlp --data synthetic --epoch 3 | 2 | unknown option '--epoch', did you mean '--epochs'?
lossatlas train --arch mlp --data synthetic --epochs 1.5 | 2 | --epochs: 1.5: requires a whole number
lossatlas train --arch mlp --data synthetic --device gpu | 2 | --device gpu: requires cpu, cuda or cuda:N
lossatlas train --arch mlp --data synthetic --gpu | 2 | unknown option '--gpu', did you mean '--device'?
lossatlas train --arch mlp --data synthetic --output run2 | 2 | unknown option '--output', did you mean '--out'?
lossatlas train --arch mlp --data synthetic -o run2 | 2 | unknown option '-o', did you mean '--out'?
lossatlas train --arch mlp --data synthetic --batch_size 8 | 2 | unknown option '--batch_size', did you mean '--batch-size'?
lossatlas train --arch mlp --data synthetic --out run | 1 | run: holds a run; continue it with --resume, replace it with --force, or

lossatlas surface | 2 | --checkpoint is required: a file, or a run folder for its last epoch; or --problem
lossatlas surface run/ | 2 | unexpected argument 'run/', did you mean '--checkpoint run/'?
lossatlas surface m.pt --data synthetic | 2 | unexpected argument 'm.pt', did you mean '--checkpoint m.pt'?
lossatlas surface --data synthetic | 2 | --checkpoint is required: a file, or a run folder for its last epoch
lossatlas surface --checkpoint nope.pt --data synthetic | 1 | nope.pt: cannot be opened: No such file or directory
lossatlas surface --checkpoint s.h5 --data synthetic | 1 | s.h5: is an HDF5 file (a surface, or weights of Keras?), not a checkpoint
lossatlas surface --checkpoint notes.txt --data synthetic | 1 | notes.txt: is a text file, not a checkpoint
lossatlas surface --checkpoint empty --data synthetic | 1 | empty: a folder, but not a run folder
lossatlas surface --checkpoint run/checkpoints --data synthetic | 1 | run/checkpoints: a folder, but not a run folder
lossatlas surface --checkpoint m.pt --data synthetic --grid 51,51 | 2 | --grid 51,51: requires points along each axis, 1 to 10000 each, as in 51x41, or one number for all
lossatlas surface --checkpoint m.pt --data synthetic --grid 51 51 | 2 | unexpected argument '51' after '--grid 51': an option takes one value, without blanks
lossatlas surface --checkpoint m.pt --data synthetic --x -1 1 | 2 | unexpected argument '1' after '--x -1': an option takes one value, without blanks
lossatlas surface --checkpoint m.pt --data synthetic --x=-1:1:51 | 2 | --x -1:1:51: requires a range LOW:HIGH, as in -1:1; set the number of points with --grid
lossatlas surface --checkpoint m.pt --data synthetic --x 1 | 2 | --x 1: requires a range LOW:HIGH, as in -1:1
lossatlas surface --checkpoint m.pt --data synthetic --x 1:-1 | 2 | --x 1:-1: the range runs backwards; write -1:1
lossatlas surface --checkpoint m.pt --data synthetic --range 1 | 2 | unknown option '--range', did you mean '--x'?
lossatlas surface --checkpoint m.pt --data synthetic --points 51 | 2 | unknown option '--points', did you mean '--grid'?
lossatlas surface --checkpoint m.pt --data synthetic --xnorm filter | 2 | unknown option '--xnorm', did you mean '--norm'?
lossatlas surface --checkpoint m.pt --data synthetic --norm filters | 2 | --norm filters: requires filter, column,
lossatlas surface --checkpoint m.pt --data synthetic --loss crossentropy | 2 | --loss crossentropy: requires cross-entropy or mse
lossatlas surface --checkpoint m.pt --data synthetic --split val | 2 | --split: val not in {train,test,both}
lossatlas surface --checkpoint m.pt --data synthetic:40 --samples 100 | 2 | --samples 100: the train split of synthetic:40 has 40 images
lossatlas surface --checkpoint m.pt --data synthetic --plane pca | 2 | --plane pca: requires random, points:A,B,C, file:F, pca:RUN or eigen[:I,J]
lossatlas surface --checkpoint m.pt --data synthetic --plane points:m.pt,run | 2 | --plane points: 2 axes take 3 checkpoints, that at the origin included
lossatlas surface --checkpoint m.pt --data synthetic --out s.h5 | 1 | s.h5: exists; continue it with --resume, replace it with --force, or
lossatlas surface --checkpoint m.pt --data synthetic --out empty | 1 | empty: a folder, not a file

lossatlas line --to m.pt --data synthetic | 2 | --checkpoint is required: a file, or a run folder for its last epoch
lossatlas line --checkpoint m.pt --data synthetic --grid 51 | 2 | unknown option '--grid', did you mean '--points'?
lossatlas line --from m.pt --to run --data synthetic | 2 | unknown option '--from', did you mean '--checkpoint'?
lossatlas curve --from m.pt --data synthetic | 2 | --to is required: the checkpoint where it ends, of the same network
lossatlas curve --checkpoint m.pt --to run --data synthetic | 2 | unknown option '--checkpoint', did you mean '--from'?
lossatlas trajectory run --data synthetic | 2 | unexpected argument 'run', did you mean '--run run'?
lossatlas trajectory --data synthetic | 2 | a trajectory requires a run: name it with --run, or its files with --checkpoints
lossatlas trajectory --run m.pt --data synthetic | 1 | m.pt: a file, not a run folder; name files with --checkpoints
lossatlas trajectory --run empty --data synthetic | 1 | empty: not a run folder: it holds no checkpoints/epoch-NNNN.pt or step-NNNNNN.pt; name other files with --checkpoints 'empty/*.pt'

lossatlas descend | 2 | --function is required: an expression, or a name of --list
lossatlas descend --function x^2 | 2 | --from is required (or --at
lossatlas descend --function x^2 --lr 0.1 | 2 | unknown option '--lr', did you mean '--rate'?
lossatlas descend --function x^2 --from=1,2 | 2 | --from 1,2: the function has one variable, x
lossatlas export | 2 | file is required: a surface, line, curve or history
lossatlas export s.h5 | 2 | --out is required: the file to write
lossatlas export s.h5 s.stl | 2 | unexpected argument 's.stl', did you mean '--out s.stl'?
lossatlas export s.h5 --out s.blend | 2 | --out s.blend: ends in none of .vtp, .stl, .obj, .csv, .npz; choose one with --to
lossatlas export m.pt --out s.stl | 1 | m.pt: not an HDF5 file
lossatlas info | 2 | info: name a file, or ask for --archs, or for --diff of two surfaces
lossatlas info --arch resnet20 | 2 | unknown option '--arch', did you mean '--archs'?
lossatlas info s.h5 m.pt | 2 | unexpected argument 'm.pt': info takes one file, and --diff two
lossatlas info --diff s.h5 | 2 | --diff requires two values (compare two surfaces)
lossatlas convert m.pt a.safetensors b.pt | 2 | unexpected argument 'b.pt': convert takes two files, IN and OUT
lossatlas layers --checkpoint m.pt | 2 | unknown option '--checkpoint', did you mean '--arch'?

lossatlas plot | 2 | the following arguments are required: FILE.h5
lossatlas plot nope.h5 | 1 | nope.h5
lossatlas plot m.pt | 1 | m.pt
lossatlas plot s.h5 --output s.png | 2 | unknown option '--output', did you mean '--out'?
lossatlas plot s.h5 -o s.bmp | 2 | s.bmp
lossatlas plot s.h5 --cmap virdis | 2 | unknown colour map 'virdis', did you mean 'viridis'?
lossatlas plot s.h5 --kind heatmap | 2 | unknown kind 'heatmap', did you mean 'heat'?
lossatlas plot s.h5 --field loss | 1 | no value 'loss' in s.h5
"""
TABLE = [[part.strip() for part in line.split(" | ")] for line in COMMANDS.splitlines() if line]


@pytest.fixture(scope="module")
def folder(run, checkpoint, surface, tmp_path_factory):
    folder = tmp_path_factory.mktemp("newcomer")
    shutil.copytree(run, folder / "run")
    shutil.copy(checkpoint, folder / "m.pt")
    shutil.copy(surface, folder / "s.h5")
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("What I did today: not much.\n" * 20)
    return folder


@pytest.mark.parametrize("command, status, answer", TABLE, ids=[command for command, _, _ in TABLE])
def test_one_line_names_what_to_type(lossatlas, folder, command, status, answer):
    before = helpers.tree(folder)
    words = shlex.split(command)[1:]
    done = lossatlas(*words, cwd=folder)
    line = done.line()
    assert str(done.status) == status, line
    assert answer in line and line.startswith("plot: " if words[:1] == ["plot"] else f"lossatlas: {answer}"), line
    assert done.out == "" and helpers.tree(folder) == before


def test_the_list_is_long_enough():
    assert len(TABLE) >= 50


@pytest.mark.parametrize("more", [["--checkpoint", "run", "--grid", "3"], ["--checkpoint", "run/", "--grid", "3", "--x=-1:1", "--y", "-1:1"]])
def test_what_is_taken_as_it_was_meant(lossatlas, folder, tmp_path, more):
    done = lossatlas("surface", "--data", "synthetic:40", "--out", tmp_path / "new" / "s.h5", "--log", tmp_path / "logs" / "log",
                     *more, cwd=folder).ok()
    assert done.err.splitlines()[-1] in (tmp_path / "logs" / "log").read_text()
    assert "a run folder; its last epoch is taken, run/checkpoints/epoch-0003.pt" in done.err
    assert [axis["points"] for axis in helpers.settings(tmp_path / "new" / "s.h5")["axes"]] == [3, 3]
