"""ResNets with random weights, as layer graphs and as torch modules of the same architecture, for the benchmarks."""

from __future__ import annotations

from typing import Any

import numpy as np

import pathgraph as pg

BASIC = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
BOTTLENECK = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


class _Net:
    """A layer graph under construction, with weights drawn as they come."""

    def __init__(self, dtype: Any, seed: int) -> None:
        self.build = pg.LayerGraphBuilder()
        self.random, self.dtype = np.random.default_rng(seed), dtype

    def conv(self, x: Any, n_out: int, kernel: int, stride: int, name: str) -> Any:
        """A convolution without bias, followed by a batch-norm."""
        n_in, random = x.shape[0], self.random
        scale = (2 / (n_in * kernel**2)) ** 0.5
        weight = random.standard_normal((n_out, n_in, kernel, kernel), dtype=self.dtype) * self.dtype(scale)
        w = self.build.tensor(f"{name}.weight", weight)
        x = self.build.convolution(x, w, stride=stride, padding=kernel // 2, name=name)
        gain = self.build.tensor(f"{name}.bn.scale", random.uniform(0.5, 1.5, n_out).astype(self.dtype), role="frozen")
        shift = self.build.tensor(f"{name}.bn.shift", random.normal(size=n_out).astype(self.dtype), role="frozen")
        return self.build.batch_norm(x, gain, shift, name=f"{name}.bn")

    def block(self, x: Any, width: int, stride: int, name: str, *, bottleneck: bool) -> Any:
        """A residual block."""
        b = self.build
        if bottleneck:
            y = b.relu(self.conv(x, width, 1, 1, f"{name}.conv1"))
            y = b.relu(self.conv(y, width, 3, stride, f"{name}.conv2"))
            y = self.conv(y, 4 * width, 1, 1, f"{name}.conv3")
        else:
            y = b.relu(self.conv(x, width, 3, stride, f"{name}.conv1"))
            y = self.conv(y, width, 3, 1, f"{name}.conv2")
        if x.shape != y.shape:
            x = self.conv(x, y.shape[0], 1, stride, f"{name}.downsample")
        return b.relu(b.add([y, x], name=f"{name}.add"))


def resnet(depth: int, size: int = 224, *, classes: int = 1000, dtype: Any = np.float64, seed: int = 0) -> Any:
    """The layer graph of a ResNet of the original architecture on images (3, size, size)."""
    net = _Net(dtype, seed)
    b = net.build
    x = b.relu(net.conv(b.input((3, size, size)), 64, 7, 2, "conv1"))
    x = b.max_pool(x, 3, stride=2, padding=1)
    bottleneck = depth in BOTTLENECK
    for stage, n_blocks in enumerate((BOTTLENECK if bottleneck else BASIC)[depth]):
        for index in range(n_blocks):
            stride = 2 if stage > 0 and index == 0 else 1
            x = net.block(x, 64 << stage, stride, f"layer{stage + 1}.{index}", bottleneck=bottleneck)
    x = b.flatten(b.adaptive_average_pool(x, 1))
    weight = net.random.standard_normal((classes, x.shape[0]), dtype=dtype) * dtype(x.shape[0] ** -0.5)
    x = b.linear(x, b.tensor("fc.weight", weight), b.tensor("fc.bias", net.random.normal(size=classes).astype(dtype)))
    return b.build([x])


def small_resnet(n_blocks: int = 3, size: int = 32, *, dtype: Any = np.float32, seed: int = 0) -> Any:
    """The layer graph of a ResNet of the original architecture for small images: ResNet-20 with 3 blocks a width."""
    net = _Net(dtype, seed)
    b = net.build
    x = b.relu(net.conv(b.input((3, size, size)), 16, 3, 1, "conv1"))
    for stage in range(3):
        for index in range(n_blocks):
            stride = 2 if stage > 0 and index == 0 else 1
            x = net.block(x, 16 << stage, stride, f"layer{stage + 1}.{index}", bottleneck=False)
    x = b.flatten(b.adaptive_average_pool(x, 1))
    return b.build([b.linear(x, b.tensor("fc.weight", net.random.standard_normal((10, x.shape[0]), dtype=dtype)))])


def torch_twin(depth: int, *, classes: int = 1000) -> Any:
    """The same architecture as a torch module in evaluation mode, with its own random weights."""
    from torch import nn

    def conv(n_in: int, n_out: int, kernel: int, stride: int) -> Any:
        layer = nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, bias=False)
        return nn.Sequential(layer, nn.BatchNorm2d(n_out))

    class Block(nn.Module):
        def __init__(self, n_in: int, width: int, stride: int) -> None:
            super().__init__()
            n_out = 4 * width if depth in BOTTLENECK else width
            if depth in BOTTLENECK:
                first, last = conv(n_in, width, 1, 1), conv(width, n_out, 1, 1)
                parts = [first, nn.ReLU(inplace=True), conv(width, width, 3, stride), nn.ReLU(inplace=True), last]
            else:
                parts = [conv(n_in, width, 3, stride), nn.ReLU(inplace=True), conv(width, width, 3, 1)]
            self.body = nn.Sequential(*parts)
            self.skip = conv(n_in, n_out, 1, stride) if stride > 1 or n_in != n_out else nn.Identity()

        def forward(self, x: Any) -> Any:
            return (self.body(x) + self.skip(x)).relu_()

    layers: list[Any] = [conv(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    n_in = 64
    for stage, n_blocks in enumerate((BOTTLENECK if depth in BOTTLENECK else BASIC)[depth]):
        for index in range(n_blocks):
            layers.append(Block(n_in, 64 << stage, 2 if stage > 0 and index == 0 else 1))
            n_in = (64 << stage) * (4 if depth in BOTTLENECK else 1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_in, classes)).eval()
