"""Networks as people write them: classes with a forward of layers, functions and methods.

`lenette train benchmarks/people.py:Residual` trains one; the benchmark and the native engine's tests take all four.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F


class Example(nn.Module):
    """PyTorch's own MNIST example (pytorch/examples, mnist/main.py)."""

    def __init__(self, num_classes, in_channels, image_size):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 32, 3, 1)
        self.conv2 = nn.Conv2d(32, 64, 3, 1)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(64 * ((image_size - 4) // 2) ** 2, 128)
        self.fc2 = nn.Linear(128, num_classes)

    def forward(self, x):
        x = self.conv1(x)
        x = F.relu(x)
        x = self.conv2(x)
        x = F.relu(x)
        x = F.max_pool2d(x, 2)
        x = self.dropout1(x)
        x = torch.flatten(x, 1)
        x = self.fc1(x)
        x = F.relu(x)
        x = self.dropout2(x)
        x = self.fc2(x)
        return F.log_softmax(x, dim=1)


class ResidualBlock(nn.Module):
    def __init__(self, in_channels, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Identity()
        if stride != 1 or in_channels != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += self.shortcut(x)
        return F.relu(out)


class Residual(nn.Module):
    def __init__(self, num_classes, in_channels, image_size):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, 12, 3, padding="same", bias=False), nn.BatchNorm2d(12), nn.ReLU()
        )
        self.layers = nn.Sequential(ResidualBlock(12, 12, 1), ResidualBlock(12, 24, 2), ResidualBlock(24, 24, 2))
        self.fc = nn.Linear(24, num_classes)

    def forward(self, x):
        x = self.layers(self.stem(x))
        return self.fc(x.mean(dim=(2, 3)))


class SqueezeExcite(nn.Module):
    def __init__(self, channels, reduction=4):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // reduction),
            nn.SiLU(),
            nn.Linear(channels // reduction, channels),
            nn.Sigmoid(),
        )

    def forward(self, x):
        b, c, _, _ = x.size()
        y = self.fc(self.pool(x).view(b, c)).view(b, c, 1, 1)
        return x * y


class Gated(nn.Module):
    def __init__(self, num_classes, in_channels, image_size):
        super().__init__()
        self.conv1, self.bn1, self.se1 = nn.Conv2d(in_channels, 16, 3, padding=1), nn.BatchNorm2d(16), SqueezeExcite(16)
        self.conv2, self.bn2, self.se2 = nn.Conv2d(16, 24, 3, padding=1), nn.BatchNorm2d(24), SqueezeExcite(24)
        self.conv3, self.bn3, self.se3 = nn.Conv2d(24, 32, 3, padding=1), nn.BatchNorm2d(32), SqueezeExcite(32)
        self.fc = nn.Linear(32, num_classes)

    def forward(self, x):
        x = F.max_pool2d(self.se1(F.hardswish(self.bn1(self.conv1(x)))), 2)
        x = F.max_pool2d(self.se2(F.hardswish(self.bn2(self.conv2(x)))), 2)
        x = self.se3(F.hardswish(self.bn3(self.conv3(x))))
        x = F.dropout(F.adaptive_avg_pool2d(x, 1).flatten(1), 0.1, self.training)
        return self.fc(x)


class Fire(nn.Module):
    def __init__(self, in_channels, squeeze, expand):
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, squeeze, 1)
        self.left, self.right = nn.Conv2d(squeeze, expand, 1), nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x):
        x = torch.relu(self.squeeze(x))
        return torch.cat([self.left(x).relu(), self.right(x).relu()], dim=1)


class Concatenating(nn.Module):
    def __init__(self, num_classes, in_channels, image_size):
        super().__init__()
        self.stem = nn.Conv2d(in_channels, 16, 3, padding=1)
        self.fires = nn.Sequential(Fire(16, 8, 16), nn.MaxPool2d(2, ceil_mode=True), Fire(32, 12, 24), Fire(48, 16, 32))
        self.drop, self.last = nn.Dropout2d(0.1), nn.Conv2d(64, num_classes, 1)

    def forward(self, x):
        x = F.max_pool2d(self.stem(x).relu(), 3, stride=2, padding=1)
        x = self.last(self.drop(self.fires(x)))
        return F.adaptive_avg_pool2d(x, (1, 1)).squeeze(-1).squeeze(-1)


PEOPLE: dict[str, Callable[[int, int, int], nn.Module]] = {
    "example": Example,
    "residual": Residual,
    "gated": Gated,
    "concatenating": Concatenating,
}
