"""Small modules in the manner of the networks that people use, and an oracle that knows nothing of pathgraph.

Values are random in float64, statistics of batch-norms included. `AbsoluteMode` runs a module on absolute values:
every constant by its absolute value, differences as sums, maxima as sums. On inputs of ones the sum of the outputs is
the path-norm with q = 1; on abs(x) it bounds the rounding errors of the module at x.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode


class Basic(nn.Module):
    def __init__(self, inputs, channels, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = None
        if stride > 1 or inputs != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x):
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class Bottleneck(nn.Module):
    def __init__(self, channels, width, groups):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=2, dilation=2, groups=groups, bias=False),
            nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, channels, 1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x):
        return F.relu(x + self.body(x))


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 7, 2, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(True))
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(Basic(4, 4), Basic(4, 6, stride=2))
        self.layer2 = Bottleneck(6, 4, groups=2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(6, 3)

    def forward(self, x):
        x = self.layer2(self.layer1(self.maxpool(self.stem(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class PaddedShortcut(nn.Module):
    """The shortcuts without parameters of the CIFAR residual networks."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, stride=2, padding=1)

    def forward(self, x):
        y = F.relu(self.conv(x) + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 1)))
        y = torch.cat([y, torch.zeros_like(y[:, :1])], dim=1)
        return y.mean((2, 3))


def vgg():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(True), nn.MaxPool2d(2),
        nn.Conv2d(4, 5, 3, padding="same"), nn.ReLU(True), nn.MaxPool2d(2, 2),
        nn.AdaptiveAvgPool2d((3, 2)), nn.Flatten(),
        nn.Linear(30, 8), nn.ReLU(True), nn.Dropout(), nn.Linear(8, 3), nn.LogSoftmax(dim=1),
    )  # fmt: skip


class DenseNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv0 = nn.Conv2d(3, 4, 3, bias=False)
        for place, inputs in enumerate((4, 6)):
            self.add_module(f"norm{place}", nn.BatchNorm2d(inputs))
            self.add_module(f"grow{place}", nn.Conv2d(inputs, 2, 3, padding=1, bias=False))
        self.transition = nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(True), nn.Conv2d(8, 4, 1), nn.AvgPool2d(2, 2))
        self.last = nn.BatchNorm2d(4)
        self.classifier = nn.Linear(4, 3)

    def forward(self, x):
        features = [self.conv0(x)]
        for place in range(2):
            norm, grow = getattr(self, f"norm{place}"), getattr(self, f"grow{place}")
            features.append(grow(F.relu(norm(torch.cat(features, 1)), inplace=True)))
        out = F.relu(self.last(self.transition(torch.cat(features, 1))), inplace=True)
        return self.classifier(torch.flatten(F.adaptive_avg_pool2d(out, 1), 1))


class Fire(nn.Module):
    def __init__(self, inputs, squeeze, expand):
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x):
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1(x)), F.relu(self.expand3(x))], 1)


def squeezenet():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(True), nn.MaxPool2d(3, 2, ceil_mode=True), Fire(4, 2, 3),
        nn.MaxPool2d(3, 2, ceil_mode=True), nn.Dropout(), nn.Conv2d(6, 3, 1), nn.ReLU(True),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


class GoogLeNet(nn.Module):
    """Branches, pools in ceil mode, and the input transform of torchvision."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4, eps=0.001), nn.ReLU(True)
        )
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.branch1 = nn.Conv2d(4, 2, 1)
        self.branch2 = nn.Sequential(nn.Conv2d(4, 2, 1), nn.ReLU(), nn.Conv2d(2, 3, 3, padding=1), nn.ReLU())
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True), nn.Conv2d(4, 1, 1))
        self.fc = nn.Linear(6, 3)
        self.aux = nn.Linear(4, 3)  # used in training only

    def forward(self, x):
        first = torch.unsqueeze(x[:, 0], 1) * (0.25 / 0.5) + (0.75 - 0.5) / 0.5
        x = self.pool(self.stem(torch.cat((first, x[:, 1:]), 1)))
        aux = self.aux(x.mean((2, 3))) if self.training else None
        x = torch.cat([self.branch1(x).relu(), self.branch2(x), F.relu(self.branch4(x))], 1)
        x = self.fc(F.adaptive_avg_pool2d(x, (1, 1)).flatten(1))
        return x if aux is None else (x, aux)


class Inception(nn.Module):
    def __init__(self):
        super().__init__()
        self.wide = nn.Conv2d(3, 2, (1, 5), padding=(0, 2))
        self.tall = nn.Conv2d(2, 2, (5, 1), padding=(2, 0))
        self.pooled = nn.Conv2d(3, 2, 1)
        self.strided = nn.Conv2d(6, 2, 3, stride=2)
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        y = F.relu(self.wide(x))
        pooled = F.avg_pool2d(x, 3, stride=1, padding=1)
        inside = F.avg_pool2d(y, 3, stride=1, padding=1, count_include_pad=False)
        x = torch.cat([F.relu(self.tall(y)), F.relu(self.pooled(pooled)), inside], 1)
        x = torch.cat([F.relu(self.strided(x)), F.max_pool2d(x, 3, stride=2)], 1)
        return self.fc(x.mean([-1, -2]))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 4, 3, padding=1)
        self.bottom = nn.Conv2d(4, 4, 3, padding=1)
        self.up2 = nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1, groups=2)
        self.up1 = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.near = nn.Upsample(scale_factor=2)
        self.merge = nn.Conv2d(6, 3, 3, padding=1)
        self.out = nn.Conv2d(8, 2, 1)

    def forward(self, x):
        first = F.relu(self.down1(x))
        second = F.relu(self.down2(F.max_pool2d(first, 2)))
        x = self.up2(F.relu(self.bottom(F.max_pool2d(second, 2))))
        x = F.relu(self.merge(torch.cat([x, second], 1)))
        corners = F.interpolate(x[:, :, :3, :3], size=(5, 5), mode="bilinear", align_corners=True)
        corners = F.pad(corners, (1, 2, 0, 3))
        return self.out(torch.cat([self.up1(x), self.near(x), corners[:, :2]], 1))


class Cifar(nn.Module):
    """The network of PyTorch's CIFAR-10 tutorial, one pooling module used twice."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = x.view(-1, 16 * 5 * 5)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


class Tied(nn.Module):
    """A module used twice, a matrix and its transpose, free parameters, buffers, differences."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.scale = nn.Parameter(torch.ones(4))
        self.offset = nn.Parameter(torch.ones(1, 4))
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("std", torch.ones(4))
        self.encoder = nn.Linear(4, 3, bias=False)

    def forward(self, x):
        x = (x - self.mean) / self.std
        y = self.inner(self.inner(x)) - self.offset
        z = x * self.scale[None, :]
        code = F.relu(F.linear(y - z, self.encoder.weight))
        return 0.5 * (code @ self.encoder.weight) - 3 + (1 - x)


class Shapes(nn.Module):
    """What moves entries about."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Parameter(torch.ones(4, 4))
        self.head = nn.Linear(8, 2)

    def forward(self, x):  # (4, 4, 4)
        a, b = x.chunk(2, dim=1)
        y = torch.stack([a, b.flip(-1)], dim=-1).transpose(1, 2).reshape(-1, 4, 4, 4)
        y = F.channel_shuffle(y, 2).permute(0, 2, 3, 1).contiguous()
        y = self.mix @ y.flatten(2)
        y = y.view(-1, 4, 4, 4).narrow(1, 0, 4)
        z = F.pixel_unshuffle(F.pixel_shuffle(y, 2), 2)
        largest = F.relu(z).amax(dim=(2, 3))
        pieces = z.view(-1, 2, 2, 16).max(dim=2)[0].sum(-1)
        wide = pieces.unsqueeze(-1).expand(-1, 2, 2).reshape(-1, 4)
        return self.head(torch.cat([largest, torch.maximum(wide, x[:, :, 0, 1])], 1))


class OneAndThree(nn.Module):
    """Convolutions along one and three axes, other paddings."""

    def __init__(self):
        super().__init__()
        self.line = nn.Conv1d(2, 3, 3, padding=1, padding_mode="replicate")
        self.solid = nn.Conv3d(1, 2, 2)
        self.up = nn.ConvTranspose1d(3, 2, 2, stride=2)

    def forward(self, line, solid):
        y = F.max_pool1d(F.relu(self.up(F.relu(self.line(line)))), 3, 2, 1)
        z = F.avg_pool3d(F.relu(self.solid(solid)), 2)
        return {"line": F.pad(y, (1, 1), mode="circular"), "solid": z.flatten(1)}


ZOO = {
    "resnet": (ResNet, [(3, 12, 12)]),
    "padded shortcut": (PaddedShortcut, [(2, 6, 6)]),
    "vgg": (vgg, [(3, 13, 10)]),
    "densenet": (DenseNet, [(3, 8, 8)]),
    "squeezenet": (squeezenet, [(3, 20, 18)]),
    "googlenet": (GoogLeNet, [(3, 8, 8)]),
    "inception": (Inception, [(3, 9, 7)]),
    "unet": (UNet, [(1, 8, 8)]),
    "cifar": (Cifar, [(3, 32, 32)]),
    "tied": (Tied, [(4,)]),
    "shapes": (Shapes, [(4, 4, 4)]),
    "one and three": (OneAndThree, [(2, 6), (1, 5, 5, 5)]),
}


def filled(make, seed=0):
    """A module of the zoo with random parameters and statistics, in float64 and evaluation mode."""
    torch.manual_seed(seed)
    module = make().double()
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if name.endswith("var") or name.endswith("std"):
                tensor.uniform_(0.5, 2)
            elif tensor.is_floating_point():
                tensor.normal_()
    return module.eval()


def leaves(value):
    """The tensors of an output."""
    values = list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, tuple) else [value]
    return [v for v in values if v is not None]


class AbsoluteMode(TorchDispatchMode):
    """Run a module on absolute values.

    With `is_bound`, means of batch-norms are not subtracted from their biases first, as an error bound needs it.
    `roundings` counts fan-in + 6 for each operation: what it adds, what its own constants cost.
    """

    def __init__(self, is_bound=False):
        super().__init__()
        self.is_bound, self.roundings = is_bound, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.split("::")[1]
        plain = name.rstrip("_")
        x = args[0]
        weights = [a for a in args[1:] if isinstance(a, torch.Tensor) and a.dim() > 1]
        windows = [a for a in args[1:2] if isinstance(a, list) and "pool" in name]
        self.roundings += 6 + max(
            [w[0].numel() for w in weights] + [max(w.shape) for w in weights if w.dim() == 2] + [0]
        )
        self.roundings += (
            math.prod(windows[0]) if windows else x.numel() if plain in ("sum", "mean", "amax", "max") else 0
        )
        if "adaptive" in name:
            self.roundings += x[0, 0].numel()
        if "batch_norm" in name:
            weight, bias, mean, var = args[1:5]
            eps = args[-1] if isinstance(args[-1], float) else args[-2]
            scale = weight / torch.sqrt(var + eps)
            shift = bias.abs() + (mean * scale).abs() if self.is_bound else (bias - mean * scale).abs()
            channel = (1, -1, *(1,) * (x.dim() - 2))
            return x * scale.abs().view(channel) + shift.view(channel), mean.clone(), var.clone()
        if "softmax" in name:
            return x.clone()
        if func.is_view:
            return func(*args, **(kwargs or {}))
        if plain == "relu":
            return x if name.endswith("_") else x.clone()
        if name.startswith("max_pool"):
            kernel, stride, padding, _, ceil = [*args[1:], *[[], 0, 1, False][len(args) - 2 :]]
            sums = F.avg_pool2d(x, kernel, stride or kernel, padding, ceil, divisor_override=1)
            return sums, torch.zeros_like(sums)
        if plain == "amax":
            return x.sum(args[1])
        if plain == "max":
            return x.sum(args[1]), torch.zeros(())
        if plain == "maximum":
            return x + args[1]
        if plain in ("sub", "rsub"):
            func = torch.ops.aten.add_.Tensor if name.endswith("_") else torch.ops.aten.add.Tensor
        if plain == "neg":
            return x.abs()
        in_place = name.endswith("_")

        def absolute(value):
            if isinstance(value, (list, tuple)):
                return type(value)(absolute(v) for v in value)
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                return value.abs()
            return value

        constants = ("add", "sub", "rsub", "mul", "div")
        rest = [abs(v) if plain in constants and isinstance(v, (int, float)) else absolute(v) for v in args[1:]]
        return func(x if in_place else absolute(x), *rest, **(kwargs or {}))


def absolutely(module, *inputs, is_bound=False):
    """The outputs of a module on absolute values, and the number of roundings of any path."""
    with torch.no_grad(), AbsoluteMode(is_bound) as mode:
        out = module(*inputs)
    return [leaf.numpy() for leaf in leaves(out)], mode.roundings
