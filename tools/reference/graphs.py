#!/usr/bin/env python3
"""Writes the small graphs of tests/files/graphs/, which the tests of src/programs run.

    .venv/bin/python tools/reference/graphs.py

Each file: the graph as torch.export stores it, its inputs, and what eager PyTorch makes of them: the outputs, the
gradient of the first output's sum with respect to the parameters, and a Hessian-vector product. Run by hand when a test
needs another graph.
"""

import io
import json
import zipfile
from pathlib import Path

import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "files" / "graphs"
TYPES = {torch.float32: 7, torch.float64: 8, torch.int64: 5, torch.bool: 12, torch.bfloat16: 13}


class PerSample(nn.Module):
    """Parameters, buffers and batch as inputs: what a problem file holds."""

    def __init__(self, model, loss):
        super().__init__()
        self.__dict__.update(model=model, loss=loss)  # not as a submodule: nothing of it is built in
        self.parameter_names = [name for name, _ in model.named_parameters()]
        self.buffer_names = [name for name, _ in model.named_buffers()]

    def forward(self, parameters, buffers, *batch):
        state = dict(zip(self.parameter_names, parameters)) | dict(zip(self.buffer_names, buffers))
        return self.loss(lambda *inputs: torch.func.functional_call(self.model, state, inputs), *batch)


def model_json(program):
    file = io.BytesIO()
    torch.export.save(program, file)
    archive = zipfile.ZipFile(file)
    model = json.loads(archive.read(next(name for name in archive.namelist() if name.endswith("models/model.json"))))

    def strip(graph):  # where the source lines stood
        for node in graph["nodes"]:
            node["metadata"] = {}
            for entry in node["inputs"]:
                if "as_graph" in entry["arg"]:
                    strip(entry["arg"]["as_graph"]["graph"])
    strip(model["graph_module"]["graph"])
    model["graph_module"]["module_call_graph"] = []
    return model


def stored(tensor):
    values = tensor.detach().double().flatten().tolist() if tensor.is_floating_point() else tensor.flatten().tolist()
    return {"type": TYPES[tensor.dtype], "shape": list(tensor.shape), "values": values}


def eager(function, parameters, *rest):
    """Outputs, gradient, and the Hessian times the parameters."""
    parameters = [tensor.clone().requires_grad_() for tensor in parameters]
    outputs = function(parameters, *rest)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    gradient = torch.autograd.grad(outputs[0].sum(), parameters, create_graph=True)
    along = sum((part * tensor.detach()).sum() for part, tensor in zip(gradient, parameters))
    product = torch.autograd.grad(along, parameters, allow_unused=True)
    product = [torch.zeros_like(tensor) if part is None else part for part, tensor in zip(product, parameters)]
    return outputs, gradient, product


def write(name, model, loss, batch, through_fx=False, train=False):
    model.train(train)
    function = PerSample(model, loss)
    parameters = [tensor.detach().clone() for tensor in model.parameters()]
    buffers = [tensor.detach().clone() for tensor in model.buffers()]
    samples = torch.export.Dim("samples", min=2)
    module = function
    if through_fx:  # derivatives inside of the loss
        traced = make_fx(lambda *inputs: function(list(inputs[:len(parameters)]), [], *inputs[len(parameters):]),
                         tracing_mode="symbolic")(*parameters, *batch)
        for node in list(traced.graph.nodes):
            if node.target in (torch.ops.aten.detach.default, torch.ops.aten.alias.default):
                node.replace_all_uses_with(node.args[0])
                traced.graph.erase_node(node)
        traced.recompile()
        program = torch.export.export(traced, (*parameters, *batch), strict=False,
                                      dynamic_shapes=tuple([None] * len(parameters) + [{0: samples}] * len(batch)))
    else:
        shapes = ([None] * len(parameters), [None] * len(buffers), tuple({0: samples} for _ in batch))
        program = torch.export.export(module, (parameters, buffers, *batch), strict=False, dynamic_shapes=shapes)
    outputs, gradient, product = eager(function, parameters, [b.clone() for b in buffers], *batch)
    more = [torch.cat([tensor, tensor[:1]]) for tensor in batch]
    larger, _, _ = eager(function, parameters, [b.clone() for b in buffers], *more)
    (FOLDER / f"{name}.json").write_text(json.dumps({
        "graph": model_json(program),
        "inputs": [stored(tensor) for tensor in [*parameters, *buffers, *batch]],
        "parameters": len(parameters), "batch": len(batch),
        "outputs": [stored(tensor) for tensor in outputs], "of_one_more": [stored(tensor) for tensor in larger],
        "gradient": [stored(tensor) for tensor in gradient], "product": [stored(tensor) for tensor in product]},
        separators=(",", ":")) + "\n")


def classification(model, inputs, labels):
    logits = model(inputs)
    return nn.functional.cross_entropy(logits, labels, reduction="none"), (logits.argmax(1) == labels).float()


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(7, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)

    def forward(self, tokens):
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        return nn.functional.linear(self.layer(self.embed(tokens), src_mask=mask), self.embed.weight)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 3)

    def forward(self, inputs):
        return self.head(self.lstm(inputs)[0][:, -1])


class Guarded(nn.Module):
    """Part of it without gradients, part of it in bfloat16."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(3, 4), nn.Linear(4, 3)

    def forward(self, inputs):
        hidden = torch.tanh(self.one(inputs))
        with torch.no_grad():
            scale = hidden.abs().amax(1, keepdim=True) + 1
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.two(hidden / scale).float()


def residuals(model, place):
    place = place.requires_grad_()
    value = model(place)
    slope, = torch.autograd.grad(value.sum(), place, create_graph=True)
    return ((slope[:, 0] + value[:, 0] * slope[:, 1]) ** 2)


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    torch.backends.cuda.enable_flash_sdp(False)  # on the CPU too: its backward has no derivative
    FOLDER.mkdir(exist_ok=True)
    images, labels = torch.randn(4, 3, 8, 8), torch.tensor([0, 2, 1, 2])
    write("mlp", nn.Sequential(nn.Linear(5, 4), nn.GELU(), nn.Linear(4, 3)), classification,
          [torch.randn(4, 5), labels])
    convolutions = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(),
                                 nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    write("convolutions", convolutions, classification, [images, labels])
    write("convolutions-train", convolutions, classification, [images, labels], train=True)
    write("recurrent", Recurrent(), classification, [torch.randn(4, 5, 3), labels])
    write("guarded", Guarded(), classification, [torch.randn(4, 3), labels])
    tokens = torch.randint(0, 7, (3, 5))
    write("attention", Attention(), lambda model, tokens: nn.functional.cross_entropy(
        model(tokens[:, :-1]).transpose(1, 2), tokens[:, 1:], reduction="none").mean(1), [tokens])
    write("residuals", nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)), residuals, [torch.rand(4, 2)],
          through_fx=True)


if __name__ == "__main__":
    main()
