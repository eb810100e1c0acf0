"""Trained nnU-Nets of one data set: whole slices or volumes for predicting, batches of units for scoring."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from numpy.typing import NDArray
from torch import nn

from albench.data import Case
from albench.machine import scratch
from albench.scoring.batches import UnitBatch, pad_images, patch_batches, slice_batches, within
from albench.scoring.features import bottleneck_features, stage_features
from albench.scoring.fisher import bottleneck_embedding, fisher_embedding, last_layer_embedding
from albench.scoring.moments import (
    Members,
    ensemble,
    flips,
    mc_dropout,
    mean_entropy,
    mean_softmax,
    mirrorings,
    moments,
    softmax_entropy,
)
from albench.scoring.request import MOMENTS, Features, FisherEmbedding, Need, Scores, ScoringRequest, uncertainty
from albench.seeding import generator
from albench.training.checkpoint import OWN_TRAINER, build_network
from albench.training.dropout import drop_in_words
from albench.training.nnunet_env import quiet
from albench.training.norm import normalise_by_groups
from albench.training.original import original_labels
from albench.training.preprocess import PreprocessedStore
from albench.training.reading import read_label
from albench.training.recovery import halving
from albench.units.pool import Unit
from albench.units.view import UnitView

# Up to this many patches along each axis a slice goes through the network whole: the network is convolutional, and
# tiling would cost several overlapping passes. Larger ones take nnU-Net's sliding window, and so do volumes larger
# than one patch, whose activations would not fit.
_WHOLE_SLICE_PATCHES = 2


class NnunetModel:
    """Networks of one training, one a fold, with the data set they were planned for.

    All of them predict, by the mean of their logits as in nnU-Net v2. Gradients and bottleneck features are those of
    the first: weights and activations of different networks do not correspond, so their mean would mean nothing.

    Parameters
    ----------
    store
        Preprocessed pool and test cases.
    cases
        Their files, by name.
    weights
        The networks' states, at least one.
    batch_size
        Slices in one forward pass when predicting.
    mirror_axes
        Spatial axes along which mirrored predictions are averaged.
    seen_mirrored
        Spatial axes along which training mirrored images: uncertainty may be measured over those.
    trainer
        Name of nnU-Net's trainer that built the networks.
    """

    def __init__(
        self,
        store: PreprocessedStore,
        cases: Mapping[str, Case],
        weights: Sequence[Mapping[str, torch.Tensor]],
        device: torch.device,
        batch_size: int,
        mirror_axes: Sequence[int] = (),
        *,
        seen_mirrored: Sequence[int] = (),
        trainer: str = OWN_TRAINER,
    ) -> None:
        self.warnings: list[str] = []
        self._store = store
        self._cases = cases
        self._device = device
        self._batch_size = batch_size
        self._mirror_axes, self._seen_mirrored = tuple(mirror_axes), tuple(seen_mirrored)
        self._patch_size = tuple(store.configuration_manager.patch_size)
        self._divisors = tuple(np.prod(store.configuration_manager.pool_op_kernel_sizes, axis=0).tolist())
        self._networks = []
        for state in weights:
            network = build_network(store, trainer).to(device).eval().requires_grad_(False)
            network.load_state_dict(dict(state))
            normalise_by_groups(network, device)
            drop_in_words(network, device)
            self._networks.append(network)

    @property
    def network(self) -> nn.Module:
        """The first network."""
        return self._networks[0]

    def predict(self, case: str) -> NDArray[np.uint8]:
        """Label map on the original grid, axes (z, y, x).

        Raises
        ------
        FloatingPointError
            The networks' output is not finite: the largest of NaNs would be a label like any other.
        """
        logits = self._logits(self._store.image(case)).numpy()
        _require_finite(f"the output for case {case}", logits)
        return original_labels(logits, self._store, self._store.properties(case))

    def reference(self, case: str) -> NDArray[np.uint8]:
        """Label map as it is in the data set, axes (z, y, x)."""
        return np.asarray(read_label(self._cases[case].reference, self._store.reader), dtype=np.uint8)

    def _logits(self, image: NDArray[np.float32]) -> torch.Tensor:
        """Mean logits of all networks on the preprocessed grid; float32 (n_labels, z, y, x)."""
        return halving(self._batch_size, partial(self._logits_in_batches, image), self.warnings.append)

    @torch.inference_mode()
    def _logits_in_batches(self, image: NDArray[np.float32], batch_size: int) -> torch.Tensor:
        n_axes = len(self._patch_size)
        n_patches = _WHOLE_SLICE_PATCHES if n_axes == 2 else 1
        self._deep_supervision(False)
        whole = all(n <= n_patches * p for n, p in zip(image.shape[-n_axes:], self._patch_size, strict=True))
        slices = partial(self._whole_slices, batch_size=batch_size)
        forward = (slices if n_axes == 2 else self._whole_volume) if whole else self._tiled
        total = forward(self._networks[0], image)
        for network in self._networks[1:]:
            total += forward(network, image)
        return total if len(self._networks) == 1 else total.div_(len(self._networks))

    def _whole_slices(self, network: nn.Module, image: NDArray[np.float32], batch_size: int) -> torch.Tensor:
        n_labels = self._store.label_manager.num_segmentation_heads
        result = torch.from_numpy(scratch.empty((n_labels, *image.shape[1:])))
        for begin in range(0, image.shape[1], batch_size):
            rows = slice(begin, begin + batch_size)
            slices = torch.from_numpy(np.ascontiguousarray(image[:, rows].swapaxes(0, 1))).to(self._device)
            padded, crop = pad_images(slices, self._patch_size, self._divisors)
            result[:, rows] = self._mirrored(network, padded)[within(crop, ...)].transpose(0, 1).cpu()
        return result

    def _whole_volume(self, network: nn.Module, image: NDArray[np.float32]) -> torch.Tensor:
        padded, crop = pad_images(torch.from_numpy(image)[None].to(self._device), self._patch_size, self._divisors)
        return self._mirrored(network, padded)[within(crop, 0, slice(None))].cpu()

    def _mirrored(self, network: nn.Module, images: torch.Tensor) -> torch.Tensor:
        """Mean logits over all mirrorings, the images as they are among them."""
        logits: torch.Tensor = network(images)
        _, *mirrored = flips(self._mirror_axes)
        for flip in mirrored:
            logits += network(images.flip(flip)).flip(flip)
        return logits / (1 + len(mirrored)) if mirrored else logits

    def _tiled(self, network: nn.Module, image: NDArray[np.float32]) -> torch.Tensor:
        """nnU-Net's sliding window: overlapping patches, the middle of each weighing most."""
        with quiet():  # on the processor it says each time that it is none
            predictor = nnUNetPredictor(
                use_mirroring=bool(self._mirror_axes),
                perform_everything_on_device=self._device.type == "cuda",
                device=self._device,
                allow_tqdm=False,
            )
        predictor.manual_initialization(
            network,
            self._store.plans_manager,
            self._store.configuration_manager,
            None,
            self._store.dataset_json,
            "nnUNetTrainer",
            self._mirror_axes or None,
        )
        with quiet():
            tiled: torch.Tensor = predictor.predict_sliding_window_return_logits(torch.from_numpy(image))
        return tiled.float().cpu()

    def score(
        self,
        units: Sequence[Unit],
        needs: Need,
        request: ScoringRequest,
        on_unit: Callable[[], None] = lambda: None,
    ) -> Scores:
        """Compute what is needed of `units`, in their order.

        Where memory runs out, all is computed again with half the batch: dropout masks are drawn batch by batch, so
        that scores then differ by another draw of them.

        Raises
        ------
        FloatingPointError
            A score is not finite, by which no unit could be chosen.
        """

        def attempt(batch_size: int) -> Scores:
            return self._score(units, needs, replace(request, batch_size=batch_size), on_unit)

        scores = halving(request.batch_size, attempt, self.warnings.append)
        for name, value in vars(scores).items():
            for part in vars(value).values() if isinstance(value, Features | FisherEmbedding) else (value,):
                if part is not None:
                    _require_finite(f"the score {name}", part)
        return scores

    def _score(
        self, units: Sequence[Unit], needs: Need, request: ScoringRequest, on_unit: Callable[[], None]
    ) -> Scores:
        def batches(wanted: Sequence[Unit], shared: bool = False) -> Iterator[UnitBatch]:
            for batch in self._batches(wanted, request.batch_size, shared):
                yield batch
                if wanted is units or len(wanted) > len(units):  # not where they are a sample
                    for _ in range(sum(position < len(units) for position in batch.positions.tolist())):
                        on_unit()

        def sharing(wanted: Sequence[Unit]) -> Iterator[UnitBatch]:
            return batches(wanted, shared=True)

        values: dict[str, Any] = {}
        self._deep_supervision(False)
        if Need.ENTROPY in needs:
            values["entropy"] = mean_entropy(self.network, sharing(units), len(units))
        if Need.FISHER in needs and request.variance is None:
            needs |= Need.VARIANCE  # its units are drawn by uncertainty
        if needs & MOMENTS:
            with self._members(request) as members:
                values |= moments(members, sharing(units), len(units), request.class_weights.size, needs)
        if Need.FEATURES in needs:
            grid = tuple(edge // divisor for edge, divisor in zip(self._patch_size, self._divisors, strict=True))
            everything = bottleneck_features(self.network, [*units, *request.labelled], sharing, grid)
            values["features"] = Features(everything[: len(units)], everything[len(units) :])
        if Need.STAGE_FEATURES in needs:
            values["stage_features"] = stage_features(self._networks, units, sharing)
        if Need.LAST_LAYER in needs:
            values["last_layer"] = last_layer_embedding(self.network, units, batches, request.gradients)
        self._deep_supervision(True)
        if Need.FISHER in needs:
            variance = values["variance"] if request.variance is None else request.variance
            _require_finite("the score variance", variance)
            values["fisher"] = fisher_embedding(
                self.network,
                units,
                batches,
                uncertainty(variance, request.class_weights),
                n_fisher_units=request.n_fisher_units,
                n_parameters=request.n_parameters,
                settings=request.gradients,
                rng=generator(*request.key, "fisher"),
                bfloat16=request.bfloat16,
            )
        if Need.BOTTLENECK in needs:
            values["bottleneck"] = bottleneck_embedding(
                self.network, units, batches, request.n_parameters, request.gradients
            )
        self._deep_supervision(False)
        return Scores(**values)

    def view(self, units: Sequence[Unit], request: ScoringRequest) -> list[UnitView]:
        """Predict `units` alone, on the preprocessed grid; rows that run along z go from head to foot."""

        def attempt(batch_size: int) -> list[UnitView]:
            return self._views(units, replace(request, batch_size=batch_size))

        return halving(request.batch_size, attempt, self.warnings.append)

    @torch.inference_mode()
    def _views(self, units: Sequence[Unit], request: ScoringRequest) -> list[UnitView]:
        self._deep_supervision(False)
        row_mm, column_mm = map(float, self._store.configuration_manager.spacing[-2:])
        views: dict[int, UnitView] = {}
        for batch in self._batches(units, request.batch_size):
            logits = self._networks[0](batch.images)
            for network in self._networks[1:]:
                logits = logits + network(batch.images)
            labels = logits.argmax(dim=1)
            with self._members(request) as members:
                entropy = softmax_entropy(mean_softmax(members, batch))
            for position, (item, box) in zip(batch.positions.tolist(), batch, strict=True):
                # all but the last two axes: none of a slice, and the middle of a patch
                plane = (*((part.start + part.stop) // 2 for part in box[:-2]), *box[-2:])
                views[position] = UnitView(
                    image=self._upright(batch.images[(item, 0, *plane)].cpu().numpy()),
                    prediction=self._upright(labels[(item, *plane)].cpu().numpy().astype(np.uint8)),
                    reference=self._upright(self._reference_plane(units[position])),
                    uncertainty=self._upright(entropy[(item, *plane)].cpu().numpy()),
                    spacing=(row_mm, column_mm),
                )
        return [views[position] for position in range(len(units))]

    def _reference_plane(self, unit: Unit) -> NDArray[np.uint8]:
        """Preprocessed reference of a slice or of a patch's middle slice; uint8 (row, column)."""
        reference = self._store.reference(unit.case)[0]
        if len(self._patch_size) == 2:
            plane = reference[unit.index - self._store.first_slice(unit.case)]
        else:
            first, *others = self._store.box(unit)
            plane = reference[((first.start + first.stop) // 2, *others)]
        return np.asarray(np.clip(plane, 0, None), dtype=np.uint8)

    def _upright(self, plane: NDArray[Any]) -> NDArray[Any]:
        # SimpleITK's z grows from foot to head, while pictures are read from the top
        return plane[::-1] if self._store.plans_manager.transpose_forward[1] == 0 else plane

    def _members(self, request: ScoringRequest) -> contextlib.AbstractContextManager[Members]:
        """Uncertainty source of the request."""
        if request.source == "ensemble":
            return contextlib.nullcontext(ensemble(self._networks, bfloat16=request.bfloat16))
        if request.source == "mirroring":
            return contextlib.nullcontext(mirrorings(self.network, self._seen_mirrored, bfloat16=request.bfloat16))
        return mc_dropout(
            self.network,
            passes=request.passes,
            dropout=request.dropout,
            bfloat16=request.bfloat16,
            key=(*request.key, "dropout"),
        )

    def _deep_supervision(self, enabled: bool) -> None:
        for network in self._networks:
            network.get_submodule("decoder").deep_supervision = enabled  # type: ignore[assignment]

    def _batches(self, units: Sequence[Unit], batch_size: int, shared: bool = False) -> Iterator[UnitBatch]:
        """Batches of units of the pool; `shared` lets 3D patches near each other share a window."""
        network = {"patch_size": self._patch_size, "divisors": self._divisors}
        if len(self._patch_size) == 2:
            return slice_batches(
                units,
                self._store.open_image,
                self._store.first_slice,
                batch_size=batch_size,
                device=self._device,
                **network,
            )
        return patch_batches(
            units,
            self._store.open_image,
            self._store.box,
            batch_size=batch_size,
            device=self._device,
            shared=shared,
            **network,
        )


def _require_finite(what: str, values: NDArray[np.floating]) -> None:
    # the smallest and the largest, which are NaN where any is: no second array, however large the first
    if values.size and not (np.isfinite(values.min()) and np.isfinite(values.max())):
        raise FloatingPointError(
            f"the network computes no numbers: {what} is not finite; a lower learning rate may help"
        )
