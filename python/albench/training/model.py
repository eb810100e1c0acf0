"""A trained 2D nnU-Net: whole slices in batches for predicting and scoring."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from numpy.typing import NDArray
from torch import nn

from albench.data import Case
from albench.pool import Unit
from albench.scoring.batches import SliceBatch, slice_batches
from albench.scoring.features import bottleneck_features
from albench.scoring.fisher import bottleneck_embedding, fisher_embedding, last_layer_embedding
from albench.scoring.moments import Members, mc_dropout, mean_entropy, moments
from albench.scoring.request import MOMENTS, Features, Need, Scores, ScoringPlan, uncertainty
from albench.seeding import generator
from albench.training.nnunet_env import quiet
from albench.training.prepare import PreparedStore

# Up to this many patches along each axis a slice goes through the network whole: the network is convolutional, and
# tiling would cost several overlapping passes. Larger ones take nnU-Net's sliding window.
_WHOLE_SLICE_PATCHES = 2


class NnunetModel:
    """Network of one training with the data set it was planned for.

    Parameters
    ----------
    store
        Preprocessed pool and test cases.
    cases
        Their files, by name.
    weights
        The network's state.
    batch_size
        Slices in one forward pass when predicting.
    """

    def __init__(
        self,
        store: PreparedStore,
        cases: Mapping[str, Case],
        weights: Mapping[str, torch.Tensor],
        device: torch.device,
        batch_size: int,
    ) -> None:
        self._store = store
        self._cases = cases
        self._device = device
        self._batch_size = batch_size
        self._patch_size = tuple(store.configuration_manager.patch_size)
        self._divisors = tuple(np.prod(store.configuration_manager.pool_op_kernel_sizes, axis=0).tolist())
        self.network = _build(store).to(device).eval().requires_grad_(False)
        self.network.load_state_dict(dict(weights))

    def predict(self, case: str) -> NDArray[np.uint8]:
        """Label map on the original grid, axes (z, y, x)."""
        image = self._store.image(case)
        logits = self._logits(case, image)
        labels = convert_predicted_logits_to_segmentation_with_correct_shape(
            logits.cpu(),
            self._store.plans_manager,
            self._store.configuration_manager,
            self._store.label_manager,
            self._store.properties(case),
            num_threads_torch=torch.get_num_threads(),
        )
        return np.asarray(labels, dtype=np.uint8)

    def reference(self, case: str) -> NDArray[np.uint8]:
        """Label map as it is in the data set, axes (z, y, x)."""
        return np.asarray(SimpleITKIO().read_seg(str(self._cases[case].label))[0][0], dtype=np.uint8)

    @torch.inference_mode()
    def _logits(self, case: str, image: NDArray[np.float32]) -> torch.Tensor:
        """Logits on the preprocessed grid, float32 (n_labels, slice, row, column)."""
        if any(n > _WHOLE_SLICE_PATCHES * p for n, p in zip(image.shape[2:], self._patch_size, strict=True)):
            with quiet():
                tiled: torch.Tensor = self._sliding_window.predict_sliding_window_return_logits(torch.from_numpy(image))
            return tiled.float()
        self._deep_supervision(False)
        first = self._store.first_slice(case)
        units = [Unit(case, first + i) for i in range(image.shape[1])]
        result = torch.empty((self._store.label_manager.num_segmentation_heads, *image.shape[1:]))
        for batch in self._batches(units, self._batch_size, {case: image}.__getitem__):
            logits = self.network(batch.images)[..., batch.crop[0], batch.crop[1]]
            result[:, batch.positions] = logits.transpose(0, 1).cpu()
        return result

    @cached_property
    def _sliding_window(self) -> nnUNetPredictor:
        predictor = nnUNetPredictor(
            use_mirroring=False, perform_everything_on_device=True, device=self._device, allow_tqdm=False
        )
        predictor.manual_initialization(
            self.network,
            self._store.plans_manager,
            self._store.configuration_manager,
            None,
            self._store.dataset_json,
            "nnUNetTrainer",
            None,
        )
        self._deep_supervision(False)
        return predictor

    def score(
        self,
        units: Sequence[Unit],
        needs: Need,
        plan: ScoringPlan,
        on_batch: Callable[[], None] = lambda: None,
    ) -> Scores:
        """Compute what is needed of `units`, in their order."""

        def batches(wanted: Sequence[Unit]) -> Iterator[SliceBatch]:
            for batch in self._batches(wanted, plan.batch_size, self._store.image):
                yield batch
                on_batch()

        values: dict[str, Any] = {}
        self._deep_supervision(False)
        if Need.ENTROPY in needs:
            values["entropy"] = mean_entropy(self.network, batches(units), len(units))
        if Need.FISHER in needs and plan.variance is None:
            needs |= Need.VARIANCE  # its units are drawn by uncertainty
        if needs & MOMENTS:
            with self._mc_dropout(plan, "dropout") as members:
                values |= moments(members, batches(units), len(units), plan.class_weights.size, needs)
        if Need.FEATURES in needs:
            grid = tuple(edge // divisor for edge, divisor in zip(self._patch_size, self._divisors, strict=True))
            everything = bottleneck_features(self.network, [*units, *plan.labelled], batches, grid)
            values["features"] = Features(everything[: len(units)], everything[len(units) :])
        if Need.LAST_LAYER in needs:
            values["last_layer"] = last_layer_embedding(self.network, units, batches)
        self._deep_supervision(True)
        if Need.FISHER in needs:
            variance = values["variance"] if plan.variance is None else plan.variance
            values["fisher"] = fisher_embedding(
                self.network,
                units,
                batches,
                uncertainty(variance, plan.class_weights),
                n_fisher_units=plan.n_fisher_units,
                n_parameters=plan.n_parameters,
                layers=plan.layers,
                rng=generator(*plan.key, "fisher"),
            )
        if Need.BOTTLENECK in needs:
            values["bottleneck"] = bottleneck_embedding(self.network, units, batches, plan.n_parameters)
        self._deep_supervision(False)
        return Scores(**values)

    def _mc_dropout(self, plan: ScoringPlan, component: str) -> contextlib.AbstractContextManager[Members]:
        return mc_dropout(
            self.network,
            passes=plan.passes,
            dropout=plan.dropout,
            bfloat16=plan.bfloat16,
            key=(*plan.key, component),
        )

    def _deep_supervision(self, enabled: bool) -> None:
        self.network.get_submodule("decoder").deep_supervision = enabled  # type: ignore[assignment]

    def _batches(
        self, units: Sequence[Unit], batch_size: int, image_of: Callable[[str], NDArray[np.float32]]
    ) -> Iterator[SliceBatch]:
        return slice_batches(
            units,
            image_of,
            self._store.first_slice,
            patch_size=self._patch_size,
            divisors=self._divisors,
            batch_size=batch_size,
            device=self._device,
        )


def _build(store: PreparedStore) -> nn.Module:
    configuration = store.configuration_manager
    network: nn.Module = get_network_from_plans(
        configuration.network_arch_class_name,
        configuration.network_arch_init_kwargs,
        configuration.network_arch_init_kwargs_req_import,
        len(store.dataset_json["channel_names"]),
        store.label_manager.num_segmentation_heads,
        allow_init=False,
        deep_supervision=False,
    )
    return network
