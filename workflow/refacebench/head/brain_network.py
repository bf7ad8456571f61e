"""deepbet's network with its released weights, computed in the order that a processor likes.

TorchScript runs the network one layer after the other as it was saved: half of its time goes into
changes of layout, pooling before it need be and a compilation anew in every process.  Here
channels lie next to one another in memory from the first layer to the last, a brain's share is
read off one difference instead of two classes, and the answers on heads are the same within 2e-5.
"""

from __future__ import annotations

from refacebench import lazy

torch = lazy.load("torch")

#: Added to a variance by the norms.
EPSILON = 1e-5


class BrainNetwork:
    """A LinkNet (Chaurasia and Culurciello 2017) in three dimensions, as deepbet has it.

    Parameters
    ----------
    weights : dict of str to torch.Tensor
        By the names of the saved network.
    """

    def __init__(self, weights: dict):
        self.weights = weights
        last, bias = weights["tp_conv2.weight"], weights["tp_conv2.bias"]
        # Of two classes the softmax is the logistic function of their difference.
        self.last = (last[:, 1] - last[:, 0]).reshape(len(last), 8).contiguous()
        self.bias = bias[1] - bias[0]

    def __call__(self, image):
        """Return the share of brain in each voxel.

        Parameters
        ----------
        image : torch.Tensor
            Shape (1, 1, i, j, k), each a multiple of 32.

        Returns
        -------
        torch.Tensor
            Shape (i, j, k), 0 .. 1.
        """
        image = _conv(_channels_last(image), self._of("init.0"), stride=2)
        # A norm and what follows it grow with a voxel's value: the largest are chosen before.
        pooled = torch.nn.functional.max_pool3d(image, 3, stride=2, padding=1)
        pooled = _norm(pooled, _moments(image)).relu_()
        down = [pooled]
        for number in range(4):
            first = self._block(down[-1], f"down{number}.block1", 1 if number == 0 else 2)
            down.append(self._block(first, f"down{number}.block2", 1))
        image = down.pop()
        for number in range(4):
            image = self._up(image, f"up{number}", 2 if number < 3 else 1)
            # The last goes with what the first block was given, the others with its successors.
            image = image.add_(down[3 - number])
        image = _norm(_spread(image, self._of("tp_conv1.0"), 2)).relu_()
        image = _norm(_conv(image, self._of("conv.0"))).relu_()
        return self._share(image)

    def _of(self, name: str) -> tuple:
        """Return the weight and the bias of a layer; None where it has no bias."""
        return self.weights[f"{name}.weight"], self.weights.get(f"{name}.bias")

    def _block(self, image, name: str, stride: int):
        inner = _norm(_conv(image, self._of(f"{name}.double_conv.0"), stride)).relu_()
        inner = _norm(_conv(inner, self._of(f"{name}.double_conv.3")))
        if f"{name}.downsample.0.weight" in self.weights:
            image = _norm(_conv(image, self._of(f"{name}.downsample.0"), stride))
        return inner.add_(image).relu_()

    def _up(self, image, name: str, stride: int):
        image = _norm(_conv(image, self._of(f"{name}.conv1.0"))).relu_()
        image = _norm(_spread(image, self._of(f"{name}.tp_conv.0"), stride)).relu_()
        return _norm(_conv(image, self._of(f"{name}.conv2.0"))).relu_()

    def _share(self, image):
        """Make 2 x 2 x 2 voxels of each: a product of matrices, for they do not overlap."""
        _, channels, i, j, k = image.shape
        rows = image.permute(0, 2, 3, 4, 1).reshape(-1, channels)
        share = (rows @ self.last).add_(self.bias).sigmoid_()
        share = share.reshape(i, j, k, 2, 2, 2).permute(0, 3, 1, 4, 2, 5)
        return share.reshape(2 * i, 2 * j, 2 * k)


def _channels_last(image):
    """Call an image of one channel by the order in memory that its successors are to have."""
    i, j, k = image.shape[2:]
    return image.contiguous().as_strided(image.shape, (i * j * k, 1, j * k, k, 1))


def _conv(image, layer, stride: int = 1):
    weight, bias = layer
    steps, edges, near = [stride] * 3, [weight.shape[-1] // 2] * 3, [1] * 3
    if torch.backends.mkldnn.is_available():
        # With one thread torch itself takes another program here, three times as slow.
        return torch.mkldnn_convolution(image, weight, bias, edges, steps, near, 1)
    return torch.nn.functional.conv3d(image, weight, bias, steps, edges)


def _spread(image, layer, stride: int):
    """Run a transposed convolution of 3 x 3 x 3 voxels, which makes a grid finer by a stride."""
    weight, bias = layer
    if stride == 1:  # a convolution with the mirrored weights
        return _conv(image, (weight.flip((2, 3, 4)).transpose(0, 1).contiguous(), bias))
    return torch.nn.functional.conv_transpose3d(
        image, weight, bias, stride=stride, padding=1, output_padding=stride - 1
    )


def _moments(image):
    """Return mean and variance of each channel, summed in double precision plane by plane."""
    channels, planes = image.shape[1:3]
    rows = image.permute(0, 2, 3, 4, 1).reshape(planes, -1, channels)
    count = rows.shape[0] * rows.shape[1]
    mean, square = (part.sum(1).double().sum(0) / count for part in (rows, rows * rows))
    return mean.float(), (square - mean**2).float()


def _norm(image, moments=None):
    """Bring each channel to mean 0 and variance 1: an instance norm without weights."""
    mean, variance = moments or _moments(image)
    return torch.nn.functional.batch_norm(image, mean, variance, training=False, eps=EPSILON)
