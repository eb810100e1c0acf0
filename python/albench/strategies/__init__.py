"""Strategies by name."""

from __future__ import annotations

from albench.scoring.request import Need
from albench.strategies.badge import Badge
from albench.strategies.bald import Bald, ExpectedEntropy, PowerBald, PowerPe, PredictiveEntropy, SoftrankBald
from albench.strategies.base import Choice, Oracle, PoolView, Strategy, choose
from albench.strategies.coreset import CoreSet, KMeansBald
from albench.strategies.dice import ExpectedDice
from albench.strategies.entropy import Entropy
from albench.strategies.equidistant import Equidistant
from albench.strategies.foreground import RandomFg33, RandomFg66
from albench.strategies.full import Full
from albench.strategies.mcd import McDropout
from albench.strategies.parameters import label_of, settings_of
from albench.strategies.random import Random
from albench.strategies.registry import get_strategy, make_strategy, register, strategy_names
from albench.strategies.smi import ConcaveOverModular, FacilityLocationMi, GraphCutMi, LogDeterminantMi
from albench.strategies.stb import StochasticBatches
from albench.strategies.stratified import ClaspPe, ClassPe33, ClassPe66, ClassPowerPe33, ClassPowerPe66
from albench.strategies.usim import UsimC, UsimF
from albench.strategies.usim_x import UsimX

__all__ = [
    "Choice",
    "Need",
    "Oracle",
    "PoolView",
    "Strategy",
    "choose",
    "get_strategy",
    "label_of",
    "make_strategy",
    "register",
    "settings_of",
    "strategy_names",
]

for _strategy in (
    Random,
    Equidistant,
    Entropy,
    McDropout,
    Bald,
    CoreSet,
    Badge,
    StochasticBatches,
    UsimF,
    UsimC,
    UsimX,
    PredictiveEntropy,
    ExpectedEntropy,
    ExpectedDice,
    PowerBald,
    PowerPe,
    SoftrankBald,
    KMeansBald,
    ClassPe66,
    ClassPe33,
    ClassPowerPe66,
    ClassPowerPe33,
    ClaspPe,
    FacilityLocationMi,
    GraphCutMi,
    LogDeterminantMi,
    ConcaveOverModular,
    RandomFg66,
    RandomFg33,
    Full,
):
    register(_strategy)
