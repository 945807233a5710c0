"""One small trained network, and a surface around it, for all tests of the program."""

import pytest

import helpers


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
