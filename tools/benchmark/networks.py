"""The networks of the bench as a Python user would write them, with the parameter names of models/."""

import torch
from torch import nn
from torch.nn import functional as F


def conv(inputs, outputs, size, stride=1):
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


class Block(nn.Module):
    def __init__(self, inputs, planes, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, planes, 3, stride), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = conv(planes, planes, 3), nn.BatchNorm2d(planes)
        self.shortcut = projection(inputs, planes, stride)

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(out)).add_(self.shortcut(x)), inplace=True)


class Bottleneck(nn.Module):
    def __init__(self, inputs, planes, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, planes, 1), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = conv(planes, planes, 3, stride), nn.BatchNorm2d(planes)
        self.conv3, self.bn3 = conv(planes, 4 * planes, 1), nn.BatchNorm2d(4 * planes)
        self.shortcut = projection(inputs, 4 * planes, stride)

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = F.relu(self.bn2(self.conv2(out)), inplace=True)
        return F.relu(self.bn3(self.conv3(out)).add_(self.shortcut(x)), inplace=True)


def projection(inputs, outputs, stride):
    if stride == 1 and inputs == outputs:
        return nn.Sequential()
    return nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    def __init__(self, block, blocks, width, expansion=1):
        super().__init__()
        self.conv1, self.bn1 = conv(3, width, 3), nn.BatchNorm2d(width)
        channels, stages = width, []
        for i, count in enumerate(blocks):
            stage = []
            for k in range(count):
                stage.append(block(channels, width << i, 2 if i > 0 and k == 0 else 1))
                channels = (width << i) * expansion
            setattr(self, f"layer{i + 1}", nn.Sequential(*stage))
            stages.append(f"layer{i + 1}")
        self.stages = stages
        self.linear = nn.Linear(channels, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        for stage in self.stages:
            x = getattr(self, stage)(x)
        return self.linear(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class Vgg16(nn.Module):
    def __init__(self):
        super().__init__()
        layers, channels = [], 3
        for step in [64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0]:
            if step == 0:
                layers.append(nn.MaxPool2d(2, 2, ceil_mode=True))
                continue
            layers += [nn.Conv2d(channels, step, 3, padding=1), nn.BatchNorm2d(step), nn.ReLU(inplace=True)]
            channels = step
        self.features = nn.Sequential(*layers)
        self.fc = nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(inplace=True))
        self.classifier = nn.Linear(512, 10)

    def forward(self, x):
        return self.classifier(self.fc(torch.flatten(self.features(x), 1)))


class DenseLayer(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, 128, 1)
        self.bn2, self.conv2 = nn.BatchNorm2d(128), conv(128, 32, 3)

    def forward(self, x):
        out = self.conv1(F.relu(self.bn1(x), inplace=True))
        return torch.cat([self.conv2(F.relu(self.bn2(out), inplace=True)), x], 1)


class Transition(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.bn, self.conv = nn.BatchNorm2d(inputs), conv(inputs, inputs // 2, 1)

    def forward(self, x):
        return F.avg_pool2d(self.conv(F.relu(self.bn(x), inplace=True)), 2)


class DenseNet121(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, channels, self.order = conv(3, 64, 3), 64, []
        for i, count in enumerate([6, 12, 24, 16], start=1):
            stage = nn.Sequential(*[DenseLayer(channels + 32 * k) for k in range(count)])
            channels += 32 * count
            setattr(self, f"dense{i}", stage)
            self.order.append(f"dense{i}")
            if i < 4:
                setattr(self, f"trans{i}", Transition(channels))
                self.order.append(f"trans{i}")
                channels //= 2
        self.bn, self.linear = nn.BatchNorm2d(channels), nn.Linear(channels, 10)

    def forward(self, x):
        x = self.conv1(x)
        for name in self.order:
            x = getattr(self, name)(x)
        return self.linear(torch.flatten(F.adaptive_avg_pool2d(F.relu(self.bn(x), inplace=True), 1), 1))


NETWORKS = {
    "resnet18-cifar": lambda: ResNet(Block, [2, 2, 2, 2], 64),
    "resnet20": lambda: ResNet(Block, [3, 3, 3], 16),
    "resnet56": lambda: ResNet(Block, [9, 9, 9], 16),
    "vgg16": Vgg16,
    "resnet50-cifar": lambda: ResNet(Bottleneck, [3, 4, 6, 3], 64, 4),
    "densenet121": DenseNet121,
}


def randomized(name):
    """A network whose batch norms hold numbers of a trained network's kind, so that nothing folds away."""
    torch.manual_seed(1)
    network = NETWORKS[name]()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return network.eval()
