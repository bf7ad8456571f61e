"""Refacing by a cycle-consistent adversarial network on single slices, without pairs.

A native re-implementation of the method of Abramian & Eklund ("Refacing:
reconstructing anonymized facial features using GANs", ISBI 2019): CycleGAN
(Zhu et al. 2017) between defaced and original sagittal slices.  It never sees
a defaced slice beside its own original: originals are drawn at random.

As in the paper and the authors' code: 21 slices a scan, 5 mm apart, 256 x 256,
generator of 24 and discriminator of 5 convolutions, least-squares loss, cycle
weight 10, no identity loss, Adam 2e-4 with beta1 0.5, batch 1, 50 earlier
fakes, 200 epochs with linear decay over the second half, and the generator's
whole output as the result (``composite: false``).  The widest layer of the
discriminator has stride 2, as the authors' code had when the paper was written
(``discriminator_stride: 1`` is CycleGAN's own 70 x 70 one).

Differs from the paper.  It refaces and tests 21 slices; here every slice of a
scan is refaced, so that there is a volume.  Slices hang from the vertex and
the back of the head and are counted from its middle, where the paper has whole
frames of one scanner.  Each scan is scaled by its own percentile, which an
attacker knows too; the paper scales defaced scans by the percentile of their
originals (``normalisation: original``; a new scan then gets the mean ratio of
the training scans).  The paper has no criterion for the epoch that is kept
(the authors' scripts looked at test images); here it is the error in the
changed voxels of the validation participants.  Only that choice uses pairs.

Whether a training of minutes puts a face back hangs on its options.  Seen once,
on 12 synthetic heads at 64 x 64 pixels of 3.9 mm behind pydeface: discriminators
that see 34 pixels, cycle weight 10 and batch 1 gave no face in 1560 steps; 70
pixels (``discriminator_layers: 3``, ``discriminator_stride: 1``), weight 2 and
batches of 4 gave one in 1600 (16 filters, 4 blocks).  The three were changed
together; which of them did it is not known.
"""

from __future__ import annotations

import functools

from refacebench import lazy
from refacebench.contracts import Option, Refacer, overridden
from refacebench.training import slice_task, slicewise

devices = lazy.load("refacebench.training.devices")
networks = lazy.load("refacebench.training.networks")
recorded = lazy.load("refacebench.training.recorded")

VERSION = "2"

#: Defaults: the size of the paper.
OPTIONS = {
    **overridden(slicewise.OPTIONS, composite=False, normalisation="own", slices="spaced"),
    "filters": Option(32, "Channels of the first layer of the generators.", least=1),
    "blocks": Option(9, "Residual blocks of the generators.", least=0),
    "discriminator_filters": Option(
        64, "Channels of the first layer of the discriminators.", least=1
    ),
    "discriminator_layers": Option(
        3, "Layers of the discriminators with stride 2, beside the widest.", least=0
    ),
    "discriminator_stride": Option(
        2, "Stride of the discriminators' widest layer; 1 in CycleGAN itself.", choices=(1, 2)
    ),
    "cycle_weight": Option(10.0, "Weight of the cycle loss.", least=0),
    "identity_weight": Option(
        0.0, "Weight of the identity loss, relative to cycle_weight.", least=0
    ),
    "pool": Option(50, "Earlier fakes that the discriminators are shown.", least=0),
}


def network(options: dict):
    """Return the network that is kept, with fresh weights."""
    return networks.ResNetGenerator(1, 1, options["filters"], options["blocks"])


def discriminator(options: dict):
    """Return a discriminator, with fresh weights."""
    layers, stride = options["discriminator_layers"], options["discriminator_stride"]
    return networks.PatchDiscriminator(
        1, options["discriminator_filters"], layers, last_stride=stride
    )


class CycleGAN(slice_task.SliceTask):
    """The training step, a :class:`refacebench.training.task.Task`.

    ``a`` are defaced slices, ``b`` original ones; ``g_ab`` puts a face on and
    is kept, ``g_ba`` takes it off.
    """

    def build(self):
        """Make both generators, both discriminators, pools and optimisers."""
        import torch

        options = self.options
        self.g = torch.nn.ModuleDict({k: network(options) for k in ("ab", "ba")})
        self.d = torch.nn.ModuleDict({k: discriminator(options) for k in ("a", "b")})
        self.g, self.d = self.place(self.g), self.place(self.d)
        shape = (1, options["size"], options["size"])
        self.pools = {k: networks.Pool(options["pool"], shape, self.device) for k in ("a", "b")}
        self.networks = {f"g_{k}": net for k, net in self.g.items()}
        self.networks |= {f"d_{k}": net for k, net in self.d.items()}
        self.networks |= {f"pool_{k}": pool for k, pool in self.pools.items()}
        self.product = "g_ab"
        pair = {"g": self.g, "d": self.d}
        self.optimisers = {k: self.adam(nets, (0.5, 0.999)) for k, nets in pair.items()}
        self.side = recorded.side_stream(self.device, self.joint)

    @staticmethod
    def read(stack, items, generator):
        """Return defaced slices and originals drawn at random."""
        import torch

        others = torch.randint(len(stack), (len(items),), generator=generator)
        return stack.sources(items), stack.targets(others)

    def complete(self, generator, a, b):
        """Return them augmented, and what the pools do with the fakes."""
        a, _, _ = self.augmented(a, a, a > 0, generator)
        b, _, _ = self.augmented(b, b, b > 0, generator)
        plans = [self.pools[k].draw(len(a), generator) for k in ("a", "b")]
        return a, b, *(devices.send(plan, self.device) for plan in plans)

    def update(self, a, b, plan_a, plan_b):
        """Update both discriminators, then both generators, on one batch."""
        fake_b, fake_a = self._generate(a, b)
        shown_a = self.pools["a"].exchange(fake_a.detach(), plan_a)
        shown_b = self.pools["b"].exchange(fake_b.detach(), plan_b)
        loss_d = self._update_discriminators(a, b, shown_a, shown_b)
        return {**self._update_generators(a, b, fake_a, fake_b), "d": loss_d}

    def _generate(self, a, b):
        """Return what ``g_ab`` makes of ``a`` and ``g_ba`` of ``b``."""

        def made(way, images):
            with devices.autocast(self.device, self.precision):
                return self.g[way](images).float()

        ways = functools.partial(made, "ab"), functools.partial(made, "ba")
        return recorded.beside(self.side, (ways[0], a), (ways[1], b))

    def _judge(self, side: str, images):

        with devices.autocast(self.device, self.precision):
            return self.d[side](images).float()

    def _tell(self, side: str, real, fake):
        """Return a discriminator's loss on images of one side, real and made."""
        import torch

        if self.joint:
            on_real, on_fake = self._judge(side, torch.cat([real, fake])).chunk(2)
        else:
            on_real, on_fake = self._judge(side, real), self._judge(side, fake)
        return (least_squares(on_real, 1) + least_squares(on_fake, 0)) / 2

    def _update_discriminators(self, a, b, fake_a, fake_b):
        self.d.requires_grad_(True)
        self.optimisers["d"].zero_grad(set_to_none=True)
        tell = functools.partial(self._tell, "a"), functools.partial(self._tell, "b")
        losses = recorded.beside(self.side, (tell[0], a, fake_a), (tell[1], b, fake_b))
        sum(losses).backward()
        self.optimisers["d"].step()
        return (sum(losses) / 2).detach()

    def _update_generators(self, a, b, fake_a, fake_b):

        options = self.options
        self.d.requires_grad_(False)
        self.optimisers["g"].zero_grad(set_to_none=True)
        back_b, back_a = self._generate(fake_a, fake_b)
        judge = functools.partial(self._judge, "a"), functools.partial(self._judge, "b")
        on_a, on_b = recorded.beside(self.side, (judge[0], fake_a), (judge[1], fake_b))
        gan = least_squares(on_b, 1) + least_squares(on_a, 1)
        cycle = (back_a - a).abs().mean() + (back_b - b).abs().mean()
        loss = gan + options["cycle_weight"] * cycle
        if options["identity_weight"]:
            same_b, same_a = self._generate(b, a)
            same = (same_a - a).abs().mean() + (same_b - b).abs().mean()
            loss = loss + options["identity_weight"] * options["cycle_weight"] * same
        loss.backward()
        self.optimisers["g"].step()
        return {"g_gan": (gan / 2).detach(), "g_cycle": (cycle / 2).detach()}


def least_squares(scores, label: float):
    """Return the least-squares adversarial loss of scores (Mao et al. 2017): mean (s - label)^2.

    >>> import torch
    >>> float(least_squares(torch.tensor([0.0, 3.0]), 1))
    2.5
    """
    return ((scores - label) ** 2).mean()


def predict(model, stack, items, seed: int):
    """Return predictions of slices, see :class:`refacebench.training.slicewise.SliceMethod`."""

    def some(part):
        return slice_task.forward(model, stack.sources(part))

    return slice_task.in_batches(some, items, model.options["reface_batch"])


SLICEWISE = slicewise.SliceMethod(
    name="cyclegan2d",
    version=VERSION,
    statement="A native re-implementation of the refacing model of Abramian & Eklund (2019), "
    "not the authors' program. Every slice is refaced, where the paper refaced 21 a scan.",
    network=network,
    task=CycleGAN,
    predict=predict,
    choices={"discriminator_stride": (1, 2)},
    reach=0,
    bound=("filters", "blocks"),
)


METHOD = Refacer(
    version=VERSION,
    title="2-D CycleGAN (native, after Abramian & Eklund 2019)",
    options=OPTIONS,
    train=SLICEWISE.train,
    load=SLICEWISE.load,
    run=SLICEWISE.reface,
    memory_mb=SLICEWISE.memory_mb,
    applied=slicewise.APPLIED,
    sources=("https://doi.org/10.1109/ISBI.2019.8759515", "https://doi.org/10.1109/ICCV.2017.244"),
)
