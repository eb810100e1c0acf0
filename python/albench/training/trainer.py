"""nnU-Net's trainer with length, start weights and randomness as data."""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from albench.seeding import Key, seeded
from albench.training.annotated import AnnotatedDataset
from albench.training.dropout import drop_in_words
from albench.training.loader import batches
from albench.training.nnunet_env import nnunet_folders, quiet
from albench.training.norm import normalise_by_groups
from albench.training.preprocess import PreprocessedStore
from albench.training.sampling import OffsetLoader
from albench.training.unfinished import Keeper, Unfinished


@dataclass(frozen=True)
class TrainingRequest:
    """One training.

    Attributes
    ----------
    iterations
        Batches; the learning rate decays polynomially over exactly these (nnU-Net decays per epoch).
    batch_size
        Images in a batch.
    oversample_foreground
        Share of a batch centred on a foreground voxel.
    mirroring
        Whether augmentation mirrors along every axis, as nnU-Net's does.
    case_sampling, window_offset, dice_smooth
        See `TrainingSettings`.
    key
        Random stream of weights, batches and dropout.
    compile
        ``auto``, ``on`` or ``off``: see `TrainingSettings`.
    """

    iterations: int
    batch_size: int
    initial_lr: float
    momentum: float
    mirroring: bool
    oversample_foreground: float
    key: tuple[Key, ...]
    compile: str = "auto"
    case_sampling: str = "units"
    window_offset: bool = False
    dice_smooth: float = 1e-5


_WORTH_COMPILING = 5_000  # iterations


class ALTrainer(nnUNetTrainer):  # type: ignore[misc]
    """nnU-Net's network, loss, optimiser, augmentation and step, driven for a given number of iterations.

    Cases are drawn in proportion to their annotated units, unless the request says otherwise, so every annotated unit
    is as likely as any other; nnU-Net draws cases uniformly, which shows a lone slice of a case more often than each of
    ten.

    Made by `create`: nnU-Net inspects its constructor's signature, so that one stays as it is.
    """

    _dataset: AnnotatedDataset
    _request: TrainingRequest

    @classmethod
    def create(
        cls,
        store: PreprocessedStore,
        dataset: AnnotatedDataset,
        request: TrainingRequest,
        device: torch.device,
        scratch: Path,
    ) -> ALTrainer:
        """Build a trainer with a freshly initialised network.

        Parameters
        ----------
        store
            The preprocessed data set.
        dataset
            Cases with the round's annotations.
        request
            Length and randomness.
        scratch
            Folder that nnU-Net may create its result folders in.
        """
        plans = copy.deepcopy(store.plans) | {"continue_training": False}
        plans["configurations"][store.configuration]["batch_size"] = request.batch_size
        with nnunet_folders(store.base, results=scratch), quiet():
            trainer = cls(plans, store.configuration, 0, copy.deepcopy(store.dataset_json), device)
            trainer._dataset = dataset
            trainer._request = request
            trainer.initial_lr = request.initial_lr
            trainer.oversample_foreground_percent = request.oversample_foreground
            # of two stages nnU-Net would give the one output, which it takes for the coarsest, a weight of 0 / 0
            n_stages = trainer.configuration_manager.network_arch_init_kwargs["n_stages"]
            trainer.enable_deep_supervision = n_stages > 2
            with seeded(*request.key, "weights"):
                trainer.initialize()
        normalise_by_groups(trainer.network, device)
        drop_in_words(trainer.network, device)
        return trainer

    @property
    def plain_network(self) -> torch.nn.Module:
        """The network without torch.compile around it, which would put a prefix before the names of its weights."""
        assert isinstance(self.network, torch.nn.Module)
        plain = getattr(self.network, "_orig_mod", self.network)
        assert isinstance(plain, torch.nn.Module)
        return plain

    def _do_i_compile(self) -> bool:
        """Whether nnU-Net wraps the network in torch.compile; its own default is always, on a GPU.

        The environment's nnUNet_compile may forbid it, as it does for nnU-Net.
        """
        request = self._request
        wanted = request.compile == "on" or (request.compile == "auto" and request.iterations >= _WORTH_COMPILING)
        return wanted and self.device.type == "cuda" and bool(super()._do_i_compile())

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, PolyLRScheduler]:
        """nnU-Net's optimiser with this training's momentum and its schedule stretched over the iterations."""
        optimizer, _ = super().configure_optimizers()
        for group in optimizer.param_groups:
            group["momentum"] = self._request.momentum
        return optimizer, PolyLRScheduler(optimizer, self.initial_lr, self._request.iterations)

    def _build_loss(self) -> torch.nn.Module:
        """nnU-Net's loss with this training's smooth term."""
        loss = super()._build_loss()
        assert isinstance(loss, torch.nn.Module)
        for part in loss.modules():  # also inside torch.compile's wrapper
            if isinstance(part, MemoryEfficientSoftDiceLoss):
                part.smooth = self._request.dice_smooth
        return loss

    def print_to_log_file(self, *args: Any, also_print_to_console: bool = True, add_timestamp: bool = True) -> None:
        """Keep nnU-Net's chatter off the console and the disk; results carry what matters."""

    def source(self) -> nnUNetDataLoader:
        """nnU-Net's training loader with nnU-Net's augmentation for this configuration."""
        configuration = self.configuration_manager
        rotation, dummy_2d, initial_patch_size, mirror_axes = (
            self.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        )
        if not self._request.mirroring:
            mirror_axes = self.inference_allowed_mirroring_axes = None
        transforms = self.get_training_transforms(
            configuration.patch_size,
            rotation,
            self._get_deep_supervision_scales(),
            mirror_axes,
            dummy_2d,
            use_mask_for_norm=configuration.use_mask_for_norm,
            is_cascaded=False,
            foreground_labels=self.label_manager.foreground_labels,
            regions=None,
            ignore_label=self.label_manager.ignore_label,
        )
        counts = np.array([self._dataset.n_units[case] for case in self._dataset.identifiers], dtype=np.float64)
        make = OffsetLoader if self._request.window_offset else nnUNetDataLoader
        return make(
            self._dataset,
            self.batch_size,
            initial_patch_size,
            configuration.patch_size,
            self.label_manager,
            oversample_foreground_percent=self.oversample_foreground_percent,
            sampling_probabilities=counts / counts.sum() if self._request.case_sampling == "units" else None,
            transforms=transforms,
        )

    def fit(
        self,
        *,
        n_workers: int,
        shared_memory: bool = True,
        on_iteration: Callable[[float], None] = lambda loss: None,
        keeper: Keeper | None = None,
        unfinished: Unfinished | None = None,
    ) -> float:
        """Train for the request's iterations.

        Parameters
        ----------
        n_workers
            Loader processes; the result does not depend on it.
        shared_memory
            Whether they hand batches over in shared memory, or through pipes.
        on_iteration
            Called with the loss after every batch.
        keeper
            Saves the training now and then; None: nobody does.
        unfinished
            A state of this training to go on from: what comes of it is what would have come without the stop.

        Returns
        -------
        float
            Mean loss of the last tenth of the iterations.

        Raises
        ------
        KeyboardInterrupt
            It was asked to end, and is saved.
        FloatingPointError
            As soon as the loss is not finite, or where a weight is not at the end. A step that a gradient scaler skips
            is neither: with mixed precision gradients may overflow, and the scaler then lowers its scale.
        """
        request = self._request
        first, before_s = (0, 0.0) if unfinished is None else (unfinished.iteration, unfinished.seconds)
        loader = batches(
            self.source(),
            n_batches=request.iterations,
            key=(*request.key, "batches"),
            n_workers=n_workers,
            shared_memory=shared_memory,
            first=first,
        )
        self.set_deep_supervision_enabled(self.enable_deep_supervision)
        self.network.train()
        losses = torch.empty(request.iterations, dtype=torch.float64)
        began = time.perf_counter()
        whole = contextlib.nullcontext() if keeper is None else keeper.stops_between_iterations()
        with seeded(*request.key, "dropout"), whole:
            if unfinished is not None:
                losses[:first] = unfinished.losses
                unfinished.put_into(self.plain_network, self.optimizer, self.grad_scaler)
            for iteration, batch in enumerate(loader, first):
                self.lr_scheduler.step(iteration)
                loss = float(self.train_step(batch)["loss"])
                if not math.isfinite(loss):
                    raise _diverged(f"the loss is {loss} at iteration {iteration}", request)
                losses[iteration] = loss
                on_iteration(loss)
                n_done = iteration + 1
                if keeper is not None and keeper.is_due(n_done == request.iterations):
                    seconds = before_s + time.perf_counter() - began
                    keeper.write(self._unfinished(losses[:n_done].clone(), seconds, keeper.warnings))
                    if keeper.is_asked:
                        raise KeyboardInterrupt
        for name, values in self.plain_network.state_dict().items():
            if not torch.isfinite(values).all():
                raise _diverged(f"{name} has weights that are not finite after the last iteration", request)
        return float(losses[-max(1, request.iterations // 10) :].numpy().mean())

    def _unfinished(self, losses: torch.Tensor, seconds: float, warnings: Sequence[str]) -> Unfinished:
        """State after so many losses."""
        return Unfinished.of(
            self.plain_network,
            self.optimizer,
            self.grad_scaler,
            batch_size=self._request.batch_size,
            warnings=tuple(warnings),
            seconds=seconds,
            losses=losses,
        )


def _diverged(how: str, request: TrainingRequest) -> FloatingPointError:
    return FloatingPointError(
        f"training diverged: {how} of {request.iterations}; a lower learning rate may help: --set "
        f"training.initial_lr={request.initial_lr / 10:g} instead of {request.initial_lr:g}, in another --out or with "
        f"--fresh"
    )
