"""What is too large is refused, at once where that can be proved, and nothing smaller is."""

import math
import time

import jax.numpy as jnp
import networkx
import numpy as np
import pytest

from physdl import lattices, models
from physdl.errors import TooLargeError
from physdl.estimators import Contraction, Enumeration, Gaussian, Status, TransferMatrix
from physdl.estimators._tensor_plan import Network, _min_fill, require_few_neighbours


def test_dense_models_are_refused_by_proof():
    start = time.process_time()
    with pytest.raises(TooLargeError, match="every site interacts with 199 others"):
        Contraction().plan(models.sherrington_kirkpatrick(200))
    assert time.process_time() - start < 10


@pytest.mark.parametrize(("n", "q", "refused"), [(49, 2, False), (50, 2, True), (25, 4, True)])
def test_the_bound_on_complete_graphs_is_where_it_should_be(n, q, refused):
    """One step over all n sites of a complete graph takes q^n operations; 1e15 is 2^49.8."""
    pairs = np.array([(i, j) for i in range(n) for j in range(i)])
    sizes = np.full(n, q)
    if refused:
        with pytest.raises(TooLargeError):
            require_few_neighbours([pairs], sizes)
    else:
        require_few_neighbours([pairs], sizes)


def test_one_site_with_few_neighbours_voids_the_proof():
    pairs = np.array([(i, j) for i in range(60) for j in range(i)] + [(60, 0)])
    require_few_neighbours([pairs], np.full(61, 2))


def test_large_grids_are_refused_in_time():
    start = time.process_time()
    with pytest.raises(TooLargeError, match="7200 tables"):
        Contraction(search_seconds=1.0).plan(models.ising(lattices.square(60, 60), 0.4))
    assert time.process_time() - start < 60


@pytest.mark.parametrize("seed", range(6))
def test_min_fill_order_follows_its_definition(seed):
    graph = networkx.gnm_random_graph(14, 26, seed=seed)
    network = Network(tuple(graph.edges), (2,) * 14)
    expected = []
    while graph:

        def fill(site):
            around = list(graph[site])
            complement = networkx.complement(graph.subgraph(around))
            return complement.number_of_edges(), len(around), site

        site = min(graph, key=fill)
        around = list(graph[site])
        graph.add_edges_from((a, b) for a in around for b in around if a < b)
        graph.remove_node(site)
        expected.append(site)
    assert _min_fill(network, None, math.inf) == expected


def test_gaussian_limit_and_singular_forms():
    with pytest.raises(TooLargeError, match="1024 sites"):
        Gaussian(max_memory=10**6)(models.gaussian(lattices.square(32, 32), r=1.0))
    massless = Gaussian()(models.gaussian(lattices.square(16, 16), r=0.0))
    assert Status(int(massless.status)) in (Status.PRECISION, Status.DIVERGENT)
    light = Gaussian()(models.gaussian(lattices.chain(8), r=1e-6))
    k = 2 * np.pi * np.arange(8) / 8
    expected = np.sum(np.log(np.pi / (1e-6 + 2 - 2 * np.cos(k)))) / 2
    assert Status(int(light.status)) is Status.OK
    assert jnp.allclose(light.log_z, expected, rtol=1e-9)


def test_a_contraction_of_too_many_tables_is_refused():
    with pytest.raises(TooLargeError, match="600000"):
        Contraction()(models.ising(lattices.chain(600_000), 0.4))


def test_layers_where_many_tables_meet_are_summed_in_time():
    """All triples of 12 spins: an exhaustive search for the order of a product would not end."""
    h = models.p_spin(n_sites=12, p=3)
    assert float(TransferMatrix()(h).log_z) == pytest.approx(
        float(Enumeration()(h).log_z), rel=1e-13
    )
