"""Hierarchy: what each layer of an inference must keep, and what it may forget.

| subject | question |
|---|---|
| ``MarkovHierarchy`` | causes down to data, level by level |
| ``minimal_sufficient_statistic``, ``factor_through``, ``distill`` | the T_i and f_i of Theorem 2 |
| ``mutual_information``, ``processed``, ``information_profile`` | what is lost on the way |
| ``Grammar``, ``random_grammar`` | a hierarchy that writes strings, and exact reading |
| ``GaussianSky`` | map to spectrum to parameters, without loss |
| ``train_reader``, ``layers_against_levels`` | do the layers of a trained network follow the T_i? |
"""

from physdl.theory.hierarchy.distillation import Distillation as Distillation
from physdl.theory.hierarchy.distillation import InformationProfile as InformationProfile
from physdl.theory.hierarchy.distillation import distill as distill
from physdl.theory.hierarchy.distillation import factor_through as factor_through
from physdl.theory.hierarchy.distillation import information_profile as information_profile
from physdl.theory.hierarchy.distillation import (
    minimal_sufficient_statistic as minimal_sufficient_statistic,
)
from physdl.theory.hierarchy.gaussian_sky import GaussianSky as GaussianSky
from physdl.theory.hierarchy.grammar import Grammar as Grammar
from physdl.theory.hierarchy.grammar import random_grammar as random_grammar
from physdl.theory.hierarchy.information import BIT as BIT
from physdl.theory.hierarchy.information import log_mutual_information as log_mutual_information
from physdl.theory.hierarchy.information import mutual_information as mutual_information
from physdl.theory.hierarchy.information import processed as processed
from physdl.theory.hierarchy.layers import LayerTable as LayerTable
from physdl.theory.hierarchy.layers import activations as activations
from physdl.theory.hierarchy.layers import layers_against_levels as layers_against_levels
from physdl.theory.hierarchy.layers import train_reader as train_reader
from physdl.theory.hierarchy.markov_hierarchy import MarkovHierarchy as MarkovHierarchy
from physdl.theory.hierarchy.markov_hierarchy import (
    binary_symmetric_cascade as binary_symmetric_cascade,
)
from physdl.theory.hierarchy.markov_hierarchy import random_hierarchy as random_hierarchy
