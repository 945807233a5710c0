"""Networks of other packages, built from their configuration without a download, with random weights. Each function
returns (model, loss, data); PACKAGES says what it needs. The default sizes are for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from networks import classification
from torch import Tensor, nn

Case = tuple[nn.Module, Callable[..., Any], Any]


def sentences(samples: int, length: int, vocabulary: int) -> dict[str, Tensor]:
    """Tokens of half the length or more, then padding."""
    lengths = torch.randint(length // 2, length + 1, (samples, 1))
    mask = (torch.arange(length) < lengths).long()
    return {"input_ids": torch.randint(1, vocabulary, (samples, length)) * mask, "attention_mask": mask}


def bert(samples: int = 24, length: int = 10, vocabulary: int = 99, width: int = 32, layers: int = 2) -> Case:
    import transformers

    config = transformers.BertConfig(vocab_size=vocabulary, hidden_size=width, num_hidden_layers=layers,
                                     num_attention_heads=4, intermediate_size=4 * width, max_position_embeddings=length,
                                     num_labels=3)

    def loss(model: nn.Module, labels: Tensor, **tokens: Tensor) -> Tensor:
        return F.cross_entropy(model(**tokens).logits, labels, reduction="none")

    data = {**sentences(samples, length, vocabulary), "labels": torch.randint(0, 3, (samples,))}
    return transformers.BertForSequenceClassification(config), loss, data


def gpt2(samples: int = 24, length: int = 10, vocabulary: int = 99, width: int = 32, layers: int = 2) -> Case:
    import transformers

    config = transformers.GPT2Config(vocab_size=vocabulary, n_positions=length, n_embd=width, n_layer=layers, n_head=4)

    def loss(model: nn.Module, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        logits = model(input_ids=input_ids, attention_mask=attention_mask).logits[:, :-1]
        each = F.cross_entropy(logits.transpose(1, 2), input_ids[:, 1:], reduction="none") * attention_mask[:, 1:]
        count = attention_mask[:, 1:].sum(1).float()
        return each.sum(1) / count, {"weight": count}

    return transformers.GPT2LMHeadModel(config), loss, sentences(samples, length, vocabulary)


def fcn_resnet50(samples: int = 12, size: int = 32) -> Case:
    import torchvision

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(model(x)["out"], y, reduction="none").mean((1, 2))

    model = torchvision.models.segmentation.fcn_resnet50(weights=None, weights_backbone=None, num_classes=4)
    return model, loss, (torch.randn(samples, 3, size, size), torch.randint(0, 4, (samples, size, size)))


def convnext_atto(samples: int = 16, size: int = 32) -> Case:
    import timm

    model = timm.create_model("convnext_atto", num_classes=10)
    return model, classification, (torch.randn(samples, 3, size, size), torch.randint(0, 10, (samples,)))


PACKAGES = {bert: "transformers", gpt2: "transformers", fcn_resnet50: "torchvision", convnext_atto: "timm"}
