"""Refacing by a diffusion model that fills in what defacing changed.

The strongest attack published rebuilds faces by diffusion (Gao 2025, a cascade
in three dimensions).  This is a smaller relative in the same spirit and not
that program: denoising diffusion (Ho et al. 2020) on triples of neighbouring
slices, with the network of MONAI.

The network sees three neighbouring slices three times: partly noised (the
changed voxels; all others are the defaced scan's, free of noise, as in
Saharia et al. 2022, "Palette"), as the defaced scan has them, and their
changed mask.  It predicts the three slices free of noise (and not the noise:
that took several times as many steps to learn); the loss is the squared error
in changed voxels.  Noise follows the cosine schedule (Nichol & Dhariwal 2021).

Sampling is DDIM without added noise (Song et al. 2021, eq. 12 with sigma 0),
all slices of a scan at once.  A step covers them with triples that do not
overlap (but at an edge), the next one with triples one slice further; in the
last one each slice gets the mean of the up to three predictions that its own
triple and those of its neighbours make of it.  So the slices become one face
in a third of the network's work.  The first noise is drawn from a seed
that follows from the scan's values: a scan has one result.  Not from MONAI:
its DDIM scheduler (1.6.1) spaces the steps by (T - 1) / (n - 1) but steps back
by T // n, so that an image has another noise level than the network is told.
"""

from __future__ import annotations

from refacebench import lazy
from refacebench.contracts import Option, Refacer, overridden
from refacebench.training import slice_task, slicewise

devices = lazy.load("refacebench.training.devices")
networks = lazy.load("refacebench.training.networks")

VERSION = "2"

#: Defaults: a size for one GPU.  No publication has this model: all are ours.
OPTIONS = {
    **overridden(
        slicewise.OPTIONS,
        slices="changed",
        learning_rate=1e-4,
        batch=16,
        epochs=150,
        decay_epochs=50,
        average=0.9995,
    ),
    "filters": Option(64, "Channels of the first level, a multiple of 16.", least=1),
    "multipliers": Option(
        [1, 2, 4, 4], "Of the channels at each level, which halves the image.", least=1
    ),
    "patch": Option(
        4,
        "Edge of the patches whose pixels go in and out as channels; 4 takes 1/16 of the work of "
        "1.",
        unit="pixels",
        least=1,
    ),
    "residual_blocks": Option(2, "Residual blocks a level.", least=1),
    "train_steps": Option(1000, "Steps of the noise schedule.", least=1),
    # On the demo 20 gave refaced scans of the same correlation and error as 8.
    "sampling_steps": Option(8, "Sampling steps when a scan is refaced.", least=1),
    "validation_steps": Option(5, "Sampling steps in the validation of every epoch.", least=1),
    "mirror": Option(False, "Whether slices are mirrored in half of the draws."),
}


def network(options: dict):
    """Return the network that is kept, with fresh weights."""
    from monai.networks.nets import DiffusionModelUNet

    area = options["patch"] ** 2
    channels = [options["filters"] * m for m in options["multipliers"]]
    deepest = [False] * (len(channels) - 1) + [True]
    net = DiffusionModelUNet(
        spatial_dims=2,
        in_channels=9 * area,
        out_channels=3 * area,
        channels=channels,
        attention_levels=deepest,
        num_res_blocks=options["residual_blocks"],
        norm_num_groups=8,
        num_head_channels=channels[-1],
    )
    return networks.Patched(net, options["patch"])


def signal_share(steps: int):
    """Return the share of signal in the variance after each step of noise, float32 (steps,).

    The cosine schedule: Nichol & Dhariwal 2021, eq. 17, with s = 0.008 and no
    step that takes away more than 0.999 of what is left.
    """
    import torch

    x = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    f = torch.cos((x + 0.008) / 1.008 * torch.pi / 2) ** 2
    return torch.cumprod((f[1:] / f[:-1]).clamp(min=0.001), 0).float()


def noised(clean, noise, share):
    """Return an image after noise: sqrt(share) * clean + sqrt(1 - share) * noise."""
    return share.sqrt() * clean + (1 - share).sqrt() * noise


def ddim_step(image, clean, share, following):
    """Return the image at the ``following`` share of signal, on the line through ``clean``."""
    noise = (image - share.sqrt() * clean) / (1 - share).sqrt()
    return noised(clean, noise, following)


def sampling_times(steps: int, count: int):
    """Return ``count`` steps of the schedule from the last to the first, long (count,)."""
    import torch

    return torch.linspace(steps - 1, 0, count).round().long()


class Diffusion(slice_task.SliceTask):
    """The training step, a :class:`refacebench.training.task.Task`."""

    def build(self):
        """Make the network and its optimiser."""
        self.net = self.place(network(self.options))
        self.networks, self.product = {"net": self.net}, "net"
        self.optimisers = {"net": self.adam(self.net, (0.9, 0.999))}
        self.share = signal_share(self.options["train_steps"]).to(self.device)

    def model(self):
        """Return the product as a model that samples in few steps."""
        model = super().model()
        few = {"sampling_steps": self.options["validation_steps"]}
        model.options = {**model.options, **few}
        return model

    @staticmethod
    def read(stack, items, generator):
        """Return triples of the defaced slices, originals and masks."""
        return tuple(stack.triples(k, items) for k in ("source", "target", "changed"))

    def complete(self, generator, x, y, m):
        """Return them augmented, with times and noise."""
        import torch

        x, y, m = self.augmented(x, y, m > 0, generator)
        steps = self.options["train_steps"]
        times = torch.randint(steps, (len(x),), generator=generator)
        times = devices.send(times, self.device)
        seed = int(torch.randint(2**62, (), generator=generator))
        own = torch.Generator(self.device).manual_seed(seed)
        noise = torch.randn(y.shape, generator=own, device=self.device)
        return x, y, m.float(), times, noise

    def update(self, x, y, m, times, noise):
        """Learn the clean image in the changed voxels of one batch."""
        import torch

        share = self.share[times][:, None, None, None]
        image = torch.where(m > 0, noised(y, noise, share), x)
        self.optimisers["net"].zero_grad(set_to_none=True)
        inputs = self.ordered(torch.cat([image, x, m * 2 - 1], 1))
        with devices.autocast(self.device, self.precision):
            clean = self.net(inputs, times)
        miss = (clean.float() - y) ** 2
        loss = (miss * m).sum() / m.sum().clamp(min=1)
        loss.backward()
        self.optimisers["net"].step()
        return {"squared": loss.detach()}


def predict(model, stack, items, seed: int):
    """Sample the slices of ``items`` together; unchanged voxels are the defaced scan's."""
    import torch

    options = model.options
    centres = stack.centres[items]
    slices = torch.unique(torch.cat([centres - 1, centres, centres + 1]))
    place = torch.searchsorted(slices, centres).to(model.device)
    tiles = [place[tiling(slices, centres, n)] for n in range(options["sampling_steps"] - 1)]
    source, mask = stack.at("source", slices).float(), stack.at("changed", slices)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(source.shape, generator=generator).to(model.device)
    schedule = signal_share(options["train_steps"]).to(model.device)
    times = sampling_times(options["train_steps"], options["sampling_steps"])
    image = torch.where(mask, noise, source)
    shares = torch.cat([schedule[times], torch.ones_like(schedule[:1])])
    for number, chosen in enumerate([*tiles, place]):
        clean = denoised(model, image, source, mask, chosen, times[number])
        share, following = shares[number : number + 2]
        image = torch.where(mask, ddim_step(image, clean, share, following), source)
    return image[place][:, None]


def tiling(slices, centres, number: int):
    """Choose the triples of one step: all slices are covered, few of them twice.

    Parameters
    ----------
    slices, centres : torch.Tensor of long
        Numbers of all slices, ascending, and of those that are in the middle of a
        triple; a slice is a centre or next to one.
    number : int
        Of the step: with each step the tiles move by one slice.

    Returns
    -------
    torch.Tensor of long
        Indices of the chosen ones among the centres, ascending.

    >>> import torch
    >>> slices, centres = torch.arange(8), torch.arange(1, 7)
    >>> [centres[tiling(slices, centres, n)].tolist() for n in range(3)]
    [[1, 3, 6], [1, 4, 6], [1, 2, 5, 6]]
    """
    import torch

    regular = centres[(centres - number) % 3 == 0]
    spread = torch.tensor([-1, 0, 1])
    left = slices[~torch.isin(slices, regular[:, None] + spread)]
    # An uncovered slice: the triple around it; at an edge, where there is none, its neighbour's.
    near = left[:, None] + torch.tensor([0, 1, -1])
    first = torch.isin(near, centres).int().argmax(1)
    extra = near[torch.arange(len(left)), first]
    return torch.isin(centres, torch.cat([regular, extra])).nonzero().flatten()


def denoised(model, image, source, mask, place, time):
    """Return the clean image that the network sees in these triples, overlaps averaged."""
    import torch

    total, count = torch.zeros_like(image), torch.zeros(len(image), 1, 1, device=image.device)
    triples = place[:, None] + torch.arange(-1, 2, device=place.device)
    condition = mask.float() * 2 - 1
    for at in triples.split(model.options["reface_batch"]):
        inputs = torch.cat([image[at], source[at], condition[at]], 1)
        clean = slice_task.forward(model, inputs, time.expand(len(at)).to(model.device))
        clean = clean.clamp(-1, 1)
        total.index_add_(0, at.flatten(), clean.flatten(0, 1))
        count.index_add_(0, at.flatten(), torch.ones(at.numel(), 1, 1, device=at.device))
    return total / count


SLICEWISE = slicewise.SliceMethod(
    name="diffusion25d",
    version=VERSION,
    statement="A diffusion model of this project, in the spirit of published attacks by "
    "diffusion (Gao 2025) and none of them.",
    network=network,
    task=Diffusion,
    predict=predict,
    bound=("filters", "multipliers", "patch", "residual_blocks", "train_steps"),
)


METHOD = Refacer(
    version=VERSION,
    title="2.5-D diffusion, inpainting (native, own model; network of MONAI)",
    options=OPTIONS,
    train=SLICEWISE.train,
    load=SLICEWISE.load,
    run=SLICEWISE.reface,
    memory_mb=SLICEWISE.memory_mb,
    applied=(*slicewise.APPLIED, "sampling_steps"),
    sources=("https://arxiv.org/abs/2006.11239", "https://arxiv.org/abs/2010.02502"),
    licence="the network is MONAI's: Apache-2.0",
)
