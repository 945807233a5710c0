"""What cannot be exported is refused by one line that says what to do, and leaves no file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from networks import mlp
from torch import Tensor, nn

from lossatlas import ProblemError, export_problem

GENERATOR = torch.Generator().manual_seed(0)
X, Y = torch.randn(30, 6, generator=GENERATOR), torch.randint(0, 3, (30,), generator=GENERATOR)


def logits_then(function: Callable[[Tensor, Tensor], Any]) -> Callable[..., Any]:
    return lambda model, x, y: function(model(x), y)


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(logits, y, reduction="none")


def changed(tensor: Tensor, row: int, value: float) -> Tensor:
    tensor = tensor.clone()
    tensor[row] = value
    return tensor


def frozen() -> nn.Module:
    return mlp(6, 8, 3).requires_grad_(False)


def broken() -> nn.Module:
    model = mlp(6, 8, 3)
    model[2].bias.data[1] = float("inf")
    return model


def overlapping() -> nn.Module:
    model, memory = mlp(6, 8, 3), torch.randn(50)
    model[0].weight.data, model[0].bias.data = memory[:48].view(8, 6), memory[40:48]
    return model


SCALE = nn.Parameter(torch.ones(3))
REFUSALS: dict[str, tuple[Callable[[], nn.Module] | None, Any, Any, dict[str, Any], str]] = {
    "mean": (None, logits_then(F.cross_entropy), (X, Y), {},
             r'one number for the whole batch: return one for each sample, as in F.cross_entropy\(model\(x\), y, '
             r'reduction="none"\)'),
    "one column": (None, logits_then(lambda z, y: z[:, :1]), (X, Y), {}, r"has the shape \[11, 1\], it needs \[11\]: "
                   r"return loss.flatten\(1\).mean\(1\)"),
    "flat": (None, logits_then(lambda z, y: z.flatten()), (X, Y), {}, "33 numbers for 11 samples: return loss.view"),
    "not a tensor": (None, logits_then(lambda z, y: 1.0), (X, Y), {}, r"returns a float: return a tensor \[N\]"),
    "measure": (None, logits_then(lambda z, y: (cross_entropy(z, y), {"top5": z})), (X, Y), {},
                r'the measure "top5" is \[11, 3\]: make it a tensor \[11\]'),
    "measure's name": (None, logits_then(lambda z, y: (cross_entropy(z, y), {"Top 5": y})), (X, Y), {},
                       'a measure is named "Top 5"'),
    "taken name": (None, logits_then(lambda z, y: (cross_entropy(z, y), {"acc": y})), (X, Y), {},
                   'a measure is named "acc", which has another meaning'),
    "weight": (None, logits_then(lambda z, y: (cross_entropy(z, y), {"weight": y - 1})), (X, Y), {}, "is negative"),
    "random": (None, logits_then(lambda z, y: cross_entropy(F.dropout(z), y)), (X, Y), {}, "the loss is random: use"),
    "no gradient": (None, logits_then(lambda z, y: cross_entropy(z.detach(), y)), (X, Y), {},
                    "does not depend on any parameter with requires_grad"),
    "module": (None, nn.CrossEntropyLoss(), (X, Y), {}, "loss must be a name or a function"),
    "name": (None, "nll", (X, Y), {}, 'there is no loss "nll"'),
    "option": (None, logits_then(cross_entropy), (X, Y), {"label_smoothing": 0.1}, "belong to losses given by name"),
    "fails": (None, "cross-entropy", (X[:, :5], Y), {},
              r"fails on the first 11 samples, input float32 \[11, 5\], target int64 \[11\]: RuntimeError: mat1 and"),
    "NaN": (None, "cross-entropy", (changed(X, 23, float("nan")), Y), {}, "sample 23 has NaN in input: leave it out"),
    "label": (None, "cross-entropy", (X, changed(Y, 4, 3)), {},
              "sample 4: the label is 3, the network has classes 0 to 2: correct it"),
    "later label": (None, "cross-entropy", (X, changed(Y, 29, -1)), {}, "sample 29: the label is -1"),
    "float labels": (None, "cross-entropy", (X, Y.float()), {}, "needs whole numbers as labels, not torch.float32"),
    "binary labels": (None, "bce-with-logits", (X, torch.full((30, 3), 2.0)), {}, "sample 0: the label is 2.0, tar"),
    "frozen": (frozen, "cross-entropy", (X, Y), {}, "no parameter has requires_grad"),
    "weights": (broken, "cross-entropy", (X, Y), {}, "2.bias has numbers that are not finite"),
    "overlap": (overlapping, "cross-entropy", (X, Y), {}, "0.weight and 0.bias share part of their numbers"),
    "lazy": (lambda: nn.LazyLinear(3), "cross-entropy", (X, Y), {}, "weight has no numbers yet: run the network once"),
    "parameter of the loss": (None, logits_then(lambda z, y: cross_entropy(z * SCALE, y)), (X, Y), {},
                              "the loss has a parameter that is not the network's: add it"),
    "data": (None, "cross-entropy", 3, {}, "data is a int: give a Dataset, a DataLoader, or tensors"),
    "test": (None, "cross-entropy", (X, Y), {"test": (X[:, :5], Y)}, "test and data differ in entries, dtypes or shapes"),
    "samples": (None, "cross-entropy", (X, Y), {"samples": 0}, "must be at least 1"),
    "branch": (None, logits_then(lambda z, y: cross_entropy(z if z.sum() > 0 else -z, y)), (X, Y), {},
               "(?s)no way of exporting.*usual causes: branches on data"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused_with_advice(case: str, tmp_path, capfd) -> None:
    model, loss, data, options, message = REFUSALS[case]
    torch.manual_seed(0)
    with pytest.raises(ProblemError, match=message) as error:
        export_problem(model() if model else mlp(6, 8, 3), loss, data, tmp_path / "p.lossatlas", **options)
    assert case == "branch" or "\n" not in str(error.value)
    assert capfd.readouterr().err == ""
    assert list(tmp_path.iterdir()) == []


def test_a_tensor_of_the_network_held_by_the_loss(tmp_path) -> None:
    model = mlp(6, 8, 3)
    held = model[2].weight.detach().clone()
    for weight in (model[2].weight, model[2].weight.detach()):
        with pytest.raises(ProblemError, match="holds a tensor of the network.*read it from the model"):
            export_problem(model, lambda m, x, y: cross_entropy(m(x), y) + weight.square().sum(), (X, Y),
                           tmp_path / "p")
    assert torch.equal(model[2].weight, held)


def test_other_files_are_not_replaced(tmp_path) -> None:
    path = tmp_path / "model.pt"
    torch.save(mlp(6, 8, 3).state_dict(), path)
    before = path.read_bytes()
    with pytest.raises(ProblemError, match="model.pt exists and is not a problem file: choose another name"):
        export_problem(mlp(6, 8, 3), "cross-entropy", (X, Y), path)
    assert path.read_bytes() == before
    for _ in range(2):
        export_problem(mlp(6, 8, 3), "cross-entropy", (X, Y), tmp_path / "p.lossatlas", quiet=True)


def test_folder_must_exist(tmp_path) -> None:
    with pytest.raises(ProblemError, match="the folder does not exist"):
        export_problem(mlp(6, 8, 3), "cross-entropy", (X, Y), tmp_path / "none" / "p.lossatlas")


def test_operators_of_others_are_refused_by_name(tmp_path) -> None:
    @torch.library.custom_op("lossatlas_test::twice", mutates_args=())
    def twice(x: Tensor) -> Tensor:
        return 2 * x

    twice.register_fake(torch.empty_like)
    twice.register_autograd(lambda context, gradient: 2 * gradient)
    with pytest.raises(ProblemError, match="the operator lossatlas_test.twice.default is not one of PyTorch's own"):
        export_problem(mlp(6, 8, 3), logits_then(lambda z, y: cross_entropy(twice(z), y)), (X, Y), tmp_path / "p")


def test_a_detach_that_make_fx_cannot_keep_is_refused(tmp_path) -> None:
    """A loss with a derivative and a detach(): without the check of the gradient the file would be wrong in silence."""
    def loss(model: nn.Module, x: Tensor) -> Tensor:
        x = x.requires_grad_()
        slope = torch.autograd.grad(model(x).sum(), x, create_graph=True)[0].square().sum(1)
        return slope * slope.detach()

    with pytest.raises(ProblemError, match="gradients differ from eager by"):
        export_problem(mlp(6, 8, 1, activation=nn.Tanh), loss, X, tmp_path / "p.lossatlas")
