"""Ten networks as researchers have them, each with a loss and data: CASES["name"]() -> (model, loss, data). They are
small, for tests; tools/bench-problems makes larger ones of the same classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SAMPLES = 40


def images(channels: int = 3, size: int = 8, classes: int = 5) -> tuple[Tensor, Tensor]:
    return torch.randn(SAMPLES, channels, size, size), torch.randint(0, classes, (SAMPLES,))


class Block(nn.Module):
    def __init__(self, fan_in: int, fan_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(fan_in, fan_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(fan_out)
        self.conv2 = nn.Conv2d(fan_out, fan_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(fan_out)
        self.downsample = None
        if stride > 1 or fan_in != fan_out:
            self.downsample = nn.Sequential(nn.Conv2d(fan_in, fan_out, 1, stride, bias=False), nn.BatchNorm2d(fan_out))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn2(self.conv2(out)) + shortcut)


class ResNet(nn.Module):
    """One block for each of `widths`, with stride 2 where they change."""

    def __init__(self, widths: tuple[int, ...] = (4, 8), classes: int = 5) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0])
        self.layers = [f"layer{i}" for i in range(1, len(widths) + 1)]
        for name, fan_in, fan_out in zip(self.layers, (widths[0], *widths), widths):
            self.add_module(name, Block(fan_in, fan_out, 1 if fan_in == fan_out else 2))
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        for name in self.layers:
            x = self.get_submodule(name)(x)
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class InvertedResidual(nn.Module):
    def __init__(self, fan_in: int, fan_out: int, stride: int, expansion: int = 2) -> None:
        super().__init__()
        hidden = expansion * fan_in
        self.use_shortcut = stride == 1 and fan_in == fan_out
        self.conv = nn.Sequential(
            nn.Conv2d(fan_in, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(inplace=True),
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False), nn.BatchNorm2d(hidden),
            nn.ReLU6(inplace=True),
            nn.Conv2d(hidden, fan_out, 1, bias=False), nn.BatchNorm2d(fan_out))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_shortcut else self.conv(x)


class MobileNet(nn.Module):
    """`blocks`: the arguments of each InvertedResidual."""

    def __init__(self, blocks: tuple[tuple[int, ...], ...] = ((4, 4, 1), (4, 6, 2)), classes: int = 5) -> None:
        super().__init__()
        width = blocks[0][0]
        self.features = nn.Sequential(nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width),
                                      nn.ReLU6(inplace=True), *[InvertedResidual(*block) for block in blocks])
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(blocks[-1][1], classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean([2, 3]))


class ViT(nn.Module):
    def __init__(self, width: int = 16, layers: int = 2, patches: int = 4, classes: int = 5) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, width, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.randn(1, 1 + patches, width) * 0.02)
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.1, activation="gelu", batch_first=True,
                                           norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.position
        return self.head(self.encoder(x)[:, 0])


class LSTM(nn.Module):
    def __init__(self, vocabulary: int = 20, width: int = 8) -> None:
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(vocabulary, width), nn.LSTM(width, width, batch_first=True)
        self.fc = nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.lstm(self.embedding(x))[0][:, -1])


class CausalSelfAttention(nn.Module):
    def __init__(self, width: int, heads: int, length: int = 12) -> None:
        super().__init__()
        self.c_attn, self.c_proj, self.n_head = nn.Linear(width, 3 * width), nn.Linear(width, width), heads
        self.register_buffer("bias", torch.tril(torch.ones(length, length)).bool(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        n, t, c = x.shape
        q, k, v = (z.view(n, t, self.n_head, c // self.n_head).transpose(1, 2) for z in self.c_attn(x).split(c, 2))
        attention = (q @ k.transpose(-2, -1)) * (q.shape[-1] ** -0.5)
        attention = attention.masked_fill(~self.bias[:t, :t], float("-inf")).softmax(-1)
        return self.c_proj((attention @ v).transpose(1, 2).reshape(n, t, c))


class GPTBlock(nn.Module):
    def __init__(self, width: int, length: int) -> None:
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(width), CausalSelfAttention(width, 4, length)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 2 * width), "c_proj": nn.Linear(2 * width, width)})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp["c_proj"](F.gelu(self.mlp["c_fc"](self.ln_2(x))))


class GPT(nn.Module):
    def __init__(self, vocabulary: int = 30, length: int = 12, width: int = 16, layers: int = 2) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.h, self.ln_f = nn.ModuleList([GPTBlock(width, length) for _ in range(layers)]), nn.LayerNorm(width)
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1], device=tokens.device))
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))


class MaskedAttention(nn.Module):
    """Its causal mask is made under vmap, as transformers does."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.qkv, self.head = nn.Embedding(30, 16), nn.Linear(16, 48), nn.Linear(16, 30)

    def forward(self, tokens: Tensor) -> Tensor:
        n, t = tokens.shape
        rows = torch.arange(t)
        mask = torch.vmap(torch.vmap(lambda i, j: j <= i, (None, 0)), (0, None))(rows, rows)
        q, k, v = self.qkv(self.embedding(tokens)).view(n, t, 3, 4, 4).permute(2, 0, 3, 1, 4)
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.head(x.transpose(1, 2).reshape(n, t, 16))


class UNet(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.down1 = nn.Sequential(nn.Conv2d(3, width, 3, 1, 1), nn.BatchNorm2d(width), nn.ReLU())
        self.down2 = nn.Sequential(nn.Conv2d(width, 2 * width, 3, 2, 1), nn.BatchNorm2d(2 * width), nn.ReLU())
        self.up, self.last = nn.ConvTranspose2d(2 * width, width, 2, 2), nn.Conv2d(2 * width, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.down1(x)
        return self.last(torch.cat([first, self.up(self.down2(first))], 1))


def mlp(*widths: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    layers = [layer for a, b in zip(widths, widths[1:]) for layer in (nn.Linear(a, b), activation())]
    return nn.Sequential(*layers[:-1])


def classification(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    logits = model(x)
    return F.cross_entropy(logits, y, reduction="none"), {"accuracy": logits.argmax(1) == y}


def burgers(model: nn.Module, x: Tensor) -> Tensor:
    """u_t + u u_x - 0.01 u_xx at points (t, x), by autograd.grad."""
    x = x.requires_grad_()
    u = model(x)
    first = torch.autograd.grad(u.sum(), x, create_graph=True)[0]
    second = torch.autograd.grad(first[:, 1].sum(), x, create_graph=True)[0]
    return (first[:, 0] + u[:, 0] * first[:, 1] - 0.01 * second[:, 1]) ** 2


def burgers_func(model: nn.Module, x: Tensor) -> Tensor:
    """The same by torch.func."""
    def u(point: Tensor) -> Tensor:
        return model(point)[0]

    first = torch.func.vmap(torch.func.grad(u))(x)
    second = torch.func.vmap(torch.func.hessian(u))(x)
    return (first[:, 0] + model(x)[:, 0] * first[:, 1] - 0.01 * second[:, 1, 1]) ** 2


def dice(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    p, t = model(x).softmax(1), F.one_hot(y, 3).movedim(-1, 1).float()
    return 1 - ((2 * (p * t).sum((2, 3)) + 1) / (p.sum((2, 3)) + t.sum((2, 3)) + 1)).mean(1)


def contrastive(model: nn.Module, x: Tensor) -> Tensor:
    z = F.normalize(model(x), dim=1)
    return F.cross_entropy(z @ (z + 0.1).T / 0.5, torch.arange(x.shape[0]), reduction="none")


CASES = {
    "resnet": lambda: (ResNet(), classification, images()),
    "mobilenet": lambda: (MobileNet(), "cross-entropy", images()),
    "vit": lambda: (ViT(), classification, images()),
    "mlp": lambda: (mlp(6, 12, 3), "cross-entropy", (torch.randn(SAMPLES, 6), torch.randint(0, 3, (SAMPLES,)))),
    "lstm": lambda: (LSTM(), "cross-entropy", (torch.randint(0, 20, (SAMPLES, 9)), torch.randint(0, 2, (SAMPLES,)))),
    "gpt": lambda: (GPT(), "next-token", torch.randint(0, 30, (SAMPLES, 12))),
    "vmap-mask": lambda: (MaskedAttention(), "next-token", torch.randint(0, 30, (SAMPLES, 7))),
    "unet": lambda: (UNet(), "cross-entropy", (torch.randn(SAMPLES, 3, 8, 8), torch.randint(0, 3, (SAMPLES, 8, 8)))),
    "unet-dice": lambda: (UNet(), dice, (torch.randn(SAMPLES, 3, 8, 8), torch.randint(0, 3, (SAMPLES, 8, 8)))),
    "regression": lambda: (mlp(4, 10, 1, activation=nn.Tanh), "mse", (torch.randn(SAMPLES, 4), torch.randn(SAMPLES))),
    "autoencoder": lambda: (mlp(8, 3, 8), "mse", torch.randn(SAMPLES, 8)),
    "pinn": lambda: (mlp(2, 8, 8, 1, activation=nn.Tanh), burgers, torch.rand(SAMPLES, 2)),
    "pinn-func": lambda: (mlp(2, 8, 8, 1, activation=nn.Tanh), burgers_func, torch.rand(SAMPLES, 2)),
}
