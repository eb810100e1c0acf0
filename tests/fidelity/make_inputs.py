"""Makes the frozen inputs of this folder: `python tests/fidelity/make_inputs.py`. Read README.md first.

Everything that is stored under `published/` was computed on these files. Whoever changes one has to compute it again.
"""

from __future__ import annotations

import numpy as np

from tests.fidelity.fidelity_inputs import INPUTS, made_network

N_UNITS, N_LABELS, N_PASSES = 23, 3, 10
UNLABELLED = 3


def slices(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Logits of stochastic passes and of one without dropout, and partly labelled slices for the class weights."""
    sure = rng.uniform(0.8, 1.2, (N_UNITS, 1, 1, 1))
    # nine slices more uncertain than the others: Kneedle finds a knee there, and none in anything flatter
    amount = np.where(rng.permutation(N_UNITS) < 9, rng.uniform(0.5, 0.8, N_UNITS), rng.uniform(0.05, 0.1, N_UNITS))
    noise = amount[:, None, None, None] * rng.uniform(0.3, 1.5, (1, N_LABELS, 1, 1))
    plain = sure * rng.normal(size=(N_UNITS, N_LABELS, 8, 8))
    plain[2, 1, :4] = 300.0  # softmax of exactly 0 and 1
    passes = plain + noise * rng.normal(size=(N_PASSES, *plain.shape))
    labelled = rng.choice(3, (3, 8, 8), p=[0.7, 0.25, 0.05]).astype(np.uint8)
    labelled[:, 5:] = UNLABELLED
    return {"passes": passes.astype(np.float16), "plain": plain.astype(np.float16), "labelled": labelled}


def vectors(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Features and gradients; the mean of the gradients gives most pairs a similarity above 0, not all."""
    scale = 10 ** rng.uniform(-2, 0, 60)
    gradients = (rng.normal(size=60) * 0.5 + rng.normal(size=(N_UNITS, 60))) * rng.uniform(0.2, 3, (N_UNITS, 1)) * scale
    features = rng.normal(size=(N_UNITS + 6, 12)).astype(np.float32)
    return {
        "features": features[:N_UNITS],
        "annotated_features": features[N_UNITS:],
        "gradients": gradients.astype(np.float32),
    }


def volumes(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Logits of three folds on four images of 24 patches, and the folds' maps of an encoder stage."""
    image = rng.uniform(0.3, 3, (4, 1, 4, 4, 3, 2)) * rng.normal(size=(4, 1, 4, 4, 3, 2))
    coarse = image + rng.uniform(0.1, 1.2, (4, 1, 1, 4, 3, 2)) * rng.normal(size=(4, 3, 4, 4, 3, 2))
    logits = coarse.repeat(2, axis=3).repeat(2, axis=4).repeat(2, axis=5)
    logits = logits + 0.5 * rng.normal(size=logits.shape)
    logits[1, :, 0, :2, :2, :3] += 300.0  # softmax of exactly 0 and 1 in one patch and half of another
    stage = rng.normal(size=(4, 3, 5, 4, 3, 2)) * rng.uniform(0.1, 4, (5, 1, 1, 1))
    return {"logits": logits.astype(np.float32), "stage": stage.astype(np.float32)}


def apart(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Logits of three folds for which no two lists of the stratified strategies want the same patch.

    Five foreground classes. Of each image's 24 patches six are undecided between all classes, two to each foreground
    class between it and the background, and the others are background.
    """
    logits = np.full((4, 3, 6, 24), -8.0)
    logits[:, :, 0] = 4.0
    for image in range(4):
        patches = rng.permutation(24)
        logits[image, :, :, patches[:6]] = rng.uniform(-0.1, 0.1, (6, 3, 6))
        for label in range(1, 6):
            two = patches[4 + 2 * label : 6 + 2 * label]
            logits[image, :, label, two] = 4.0 + rng.uniform(0.6, 0.8, (2, 3))
    grid = logits.reshape(4, 3, 6, 4, 3, 2).repeat(2, axis=3).repeat(2, axis=4).repeat(2, axis=5)
    return {"logits": (grid + 0.02 * rng.normal(size=grid.shape)).astype(np.float32)}


def label_maps(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Three images of two foreground classes: balls inside the first two, and a slab at the edge of the third."""
    z, y, x = np.indices((12, 12, 12))
    maps = np.zeros((3, 12, 12, 12), dtype=np.uint8)
    for image in range(2):
        for label, radius in ((1, 3), (2, 2)):
            centre = rng.integers(4, 8, 3)
            inside = (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 <= radius**2
            maps[image][inside] = label
    maps[2, :3, 2:9, 4:8] = 2
    return {"maps": maps}


def curves(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Mean Dice and queried share of the foreground: strategies, seeds, rounds. All share the first round."""
    share = np.cumsum(rng.uniform(0.01, 0.06, (4, 4, 6)), axis=2)
    dice = 0.88 - 0.4 * np.exp(-np.array([4.0, 6.0, 8.0, 12.0])[:, None, None] * share)
    dice += 0.02 * rng.normal(size=dice.shape)
    share[:, :, 0], dice[:, :, 0] = share[0, :, :1].T, dice[0, :, :1].T
    return {"dice": dice, "share": share, "ceiling": np.array(0.9)}


def network(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Weights of a small nnU-Net, its coarsest head among them, and images."""
    weights = {name: value.detach().numpy() for name, value in made_network(seed=3).named_parameters()}
    return {"images": rng.normal(size=(6, 2, 16, 16)).astype(np.float32)} | weights


def main() -> None:
    for seed, make in enumerate((slices, vectors, volumes, apart, label_maps, curves, network)):
        np.savez_compressed(INPUTS / f"{make.__name__}.npz", **make(np.random.default_rng(seed)))


if __name__ == "__main__":
    main()
