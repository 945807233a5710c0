"""One small trained network, and a surface around it, for all tests of the program."""

import collections

import pytest

import helpers

Small = collections.namedtuple("Small", "path hessian sizes loss parameters")


@pytest.fixture(scope="session", autouse=True)
def binary():
    if not helpers.BINARY.exists():
        pytest.exit(f"{helpers.BINARY}: not built (LOSSATLAS_BINARY names another)", 1)
    return helpers.BINARY


@pytest.fixture(scope="session")
def lossatlas(binary):
    """lossatlas(words..., cwd=…) runs the program."""
    return lambda *words, **more: helpers.run_program(binary, *words, **more)


@pytest.fixture(scope="session")
def plot():
    """plot(words...) runs the plotter as a person does."""
    return lambda *words, **more: helpers.run_program(helpers.PLOT, *words, **more)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """CIFAR-10's binary files with 200 training and 60 test pictures that Python knows as well."""
    return helpers.Pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def run(lossatlas, pictures, tmp_path_factory):
    """The run folder of a small ResNet20 that has learnt the pictures."""
    folder = tmp_path_factory.mktemp("run") / "resnet20"
    lossatlas("train", "--arch", "resnet20", "--width", 4, "--data", pictures.words, "--out", folder, "--epochs", 3,
              "--batch-size", 10, "--lr", 0.05, "--threads", 1).ok()
    return folder


@pytest.fixture(scope="session")
def checkpoint(run):
    return run / "checkpoints" / "epoch-0003.pt"


@pytest.fixture(scope="session")
def mlp_run(lossatlas, pictures, tmp_path_factory):
    """The run folder of an MLP: no batch norm."""
    folder = tmp_path_factory.mktemp("run") / "mlp"
    lossatlas("train", "--arch", "mlp", "--data", pictures.words, "--out", folder, "--epochs", 2, "--lr", 0.01,
              "--batch-size", 20, "--threads", 1).ok()
    return folder


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A smooth network as a problem file, the Hessian of its loss in float64, the parameters' sizes, and that loss as a
    function of all parameters in one vector, with the vector."""
    import pathlib
    import sys

    import torch
    from torch import nn

    sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "python"))
    import lossatlas

    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    inputs, labels = torch.randn(40, 4), torch.randint(0, 3, (40,))
    path = tmp_path_factory.mktemp("small") / "small.lossatlas"
    lossatlas.export_problem(model, "cross-entropy", (inputs, labels), path)
    double = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    double.load_state_dict(model.state_dict())
    names = [name for name, _ in double.named_parameters()]
    shapes = [parameter.shape for parameter in double.parameters()]
    sizes = [parameter.numel() for parameter in double.parameters()]

    def loss(flat):
        parts = dict(zip(names, (part.view(shape) for part, shape in zip(flat.split(sizes), shapes))))
        return nn.functional.cross_entropy(torch.func.functional_call(double, parts, inputs.double()), labels)

    flat = torch.cat([parameter.detach().flatten() for parameter in double.parameters()])
    return Small(path, torch.autograd.functional.hessian(loss, flat).numpy(), sizes, loss, flat)


@pytest.fixture(scope="session")
def sweep(lossatlas, pictures, checkpoint):
    """sweep(out, words...) writes a surface around the trained network, or another --checkpoint."""

    def write(out, *words, grid="3x2", at=None):
        lossatlas("surface", "--checkpoint", at or checkpoint, "--data", pictures.words, "--out", out, "--grid", grid,
                  *words).ok()
        return out

    return write


@pytest.fixture(scope="session")
def directions(tmp_path_factory):
    return tmp_path_factory.mktemp("surface") / "directions.h5"


@pytest.fixture(scope="session")
def surface(sweep, directions):
    """A surface of 5 x 4 points, more along x and further to one side than the other, and its directions."""
    return sweep(directions.with_name("surface.h5"), "--x", "-0.4:0.8", "--y", "-0.6:0.3", "--samples", 100,
                 "--save-directions", directions, grid="5x4")
