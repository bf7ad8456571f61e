"""Refacing by a conditional adversarial network on triples of slices.

A native re-implementation of the method of Huelnhagen et al.: pix2pix (Isola
et al. 2017) with a defaced slice and its two neighbours as input channels and
the slice of the original as output, applied to every slice.  The caller copies
the voxels that defacing did not change back from the defaced scan
(``composite: true``, as the authors do).

Stated by the authors: the three-slice input, the slice-by-slice application,
the compositing, pix2pix.  Not stated, and options here: the slice plane,
matrix and voxel size, the intensity scale, the number of epochs, which slices
train; the defaults are pix2pix's own where it has any.  The 8-level U-Net, the
70 x 70 patch discriminator, the losses and the optimiser are those of pix2pix.
Differs from pix2pix: no dropout after training (a scan has one result), and
the best epoch is picked on validation scans.
"""

from __future__ import annotations

from refacebench import lazy
from refacebench.contracts import Option, Refacer
from refacebench.training import slice_task, slicewise

devices = lazy.load("refacebench.training.devices")
networks = lazy.load("refacebench.training.networks")

VERSION = "2"

#: Defaults: the size of the paper.
OPTIONS = {
    **slicewise.OPTIONS,
    "filters": Option(64, "Channels of the first layer of both networks.", least=1),
    "discriminator_layers": Option(
        3,
        "Layers of the discriminator with stride 2; 3 see 70 x 70 pixels, 2 see 34, 1 sees 16.",
        least=0,
    ),
    "mask_channel": Option(False, "Whether the changed mask is a fourth input channel."),
    "l1_weight": Option(100.0, "Weight of the mean absolute error.", least=0),
    "gan_weight": Option(1.0, "Weight of the adversarial loss.", least=0),
    "changed_weight": Option(
        1.0, "Weight of changed pixels in the mean absolute error, relative to the others.", least=0
    ),
    "mirror": Option(False, "Whether slices are mirrored in half of the draws."),
    "norm": Option(
        "slice",
        "Statistics of the normalisation: each slice's, as batch norm at batch 1, or the batch's.",
        choices=("slice", "batch"),
    ),
}


def network(options: dict):
    """Return the network that is kept, with fresh weights."""
    channels = 4 if options["mask_channel"] else 3
    return networks.UNet(
        channels, 1, options["size"], options["filters"], options["norm"] == "slice"
    )


class Pix2Pix(slice_task.SliceTask):
    """The training step, a :class:`refacebench.training.task.Task`."""

    def build(self):
        """Make generator, discriminator and their optimisers."""
        options = self.options
        self.g = self.place(network(options))
        channels = 4 if options["mask_channel"] else 3
        sizes = (channels + 1, options["filters"], options["discriminator_layers"])
        self.d = self.place(networks.PatchDiscriminator(*sizes, options["norm"] == "slice"))
        self.networks, self.product = {"g": self.g, "d": self.d}, "g"
        self.optimisers = {k: self.adam(n, (0.5, 0.999)) for k, n in self.networks.items()}

    @staticmethod
    def read(stack, items, generator):
        """Return inputs, targets and masks of slices."""
        return stack.inputs(items), stack.targets(items), stack.masks(items)

    def complete(self, generator, x, y, m):
        """Return them augmented."""
        x, y, m = self.augmented(x, y, m, generator)
        return self.ordered(x), y, m

    def update(self, x, y, m):
        """Update the discriminator, then the generator, on one batch."""
        with devices.autocast(self.device, self.precision):
            fake = self.g(x)
        loss_d = self._update_discriminator(x, y, fake.detach())
        loss_gan, loss_l1 = self._update_generator(x, y, m, fake)
        return {"g_gan": loss_gan, "g_l1": loss_l1, "d": loss_d}

    def _logits(self, x, y):
        import torch

        with devices.autocast(self.device, self.precision):
            return self.d(torch.cat([x, y], 1)).float()

    def _both(self, x, fake, y):
        """Return the logits of fakes and originals; at once where a GPU has room for both."""
        import torch

        if not self.joint or self.options["norm"] != "slice":
            return self._logits(x, fake), self._logits(x, y)
        return self._logits(torch.cat([x, x]), torch.cat([fake, y])).chunk(2)

    def _update_discriminator(self, x, y, fake):
        from torch.nn.functional import softplus

        self.d.requires_grad_(True)
        self.optimisers["d"].zero_grad(set_to_none=True)
        on_fake, on_real = self._both(x, fake.to(y.dtype), y)
        # Binary cross-entropy of logits: softplus(z) against 0, softplus(-z) against 1.
        loss = (softplus(on_fake).mean() + softplus(-on_real).mean()) / 2
        loss.backward()
        self.optimisers["d"].step()
        return loss.detach()

    def _update_generator(self, x, y, m, fake):
        from torch.nn.functional import softplus

        self.d.requires_grad_(False)
        self.optimisers["g"].zero_grad(set_to_none=True)
        fake = fake.float()
        gan = softplus(-self._logits(x, fake)).mean()
        weight = 1 + (self.options["changed_weight"] - 1) * m
        l1 = ((fake - y).abs() * weight).sum() / weight.expand_as(y).sum()
        (self.options["gan_weight"] * gan + self.options["l1_weight"] * l1).backward()
        self.optimisers["g"].step()
        return gan.detach(), l1.detach()


def predict(model, stack, items, seed: int):
    """Return predictions of slices, see :class:`refacebench.training.slicewise.SliceMethod`."""

    def some(part):
        return slice_task.forward(model, stack.inputs(part))

    return slice_task.in_batches(some, items, model.options["reface_batch"])


SLICEWISE = slicewise.SliceMethod(
    name="pix2pix25d",
    version=VERSION,
    statement="A native re-implementation of the refacing model of Huelnhagen et al., "
    "not the authors' program.",
    network=network,
    task=Pix2Pix,
    predict=predict,
    choices={"norm": ("slice", "batch")},
    bound=("filters", "norm", "mask_channel"),
)


METHOD = Refacer(
    version=VERSION,
    title="2.5-D pix2pix (native, after Huelnhagen et al. 2020)",
    options=OPTIONS,
    train=SLICEWISE.train,
    load=SLICEWISE.load,
    run=SLICEWISE.reface,
    memory_mb=SLICEWISE.memory_mb,
    applied=slicewise.APPLIED,
    sources=("https://doi.org/10.1109/CVPR.2017.632",),
)
