"""Selection of families: the true one is found, and the criterion predicts new samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, learning, models, sampling
from physdl.errors import PhysdlError

RING = lattices.chain(6)


def drawn(h, n, seed):
    return np.asarray(sampling.exact_sample(h, n=n, key=jax.random.key(seed)).states[:, 0])


def reaches(*values):
    return {f"reach {r}": learning.polynomial((6,), lattice=RING, reach=r) for r in values}


@pytest.mark.parametrize("method", [learning.pseudolikelihood, learning.maximum_likelihood])
def test_the_true_family_is_found(method):
    """Neighbours, couplings of second neighbours, and three-spin couplings."""
    near = models.ising(RING, 0.4, 0.2)
    rng = np.random.default_rng(0)
    far = jax.tree.map(
        lambda c: jnp.asarray(0.3 * rng.choice([-1, 1], c.shape)), reaches(2)["reach 2"]
    )
    x = drawn(near, 4000, 0)
    assert learning.select(x, reaches(1, 2, 3), method=method).name == "reach 1"
    assert learning.select(drawn(far, 4000, 1), reaches(1, 2, 3), method=method).name == "reach 2"
    degrees = {f"degree {d}": learning.polynomial((6,), degree=d) for d in (1, 2, 3)}
    assert learning.select(x, degrees, method=method).name == "degree 2"


def test_takeuchi_predicts_the_objective_on_new_samples():
    """The mean over data sets of what is predicted and of what new samples give agree."""
    h, family = models.ising(RING, 0.4, 0.2), learning.polynomial((6,))
    fresh = drawn(h, 40_000, 99)
    gaps = []
    for seed in range(30):
        found = learning.select(drawn(h, 300, seed), {"pairs": family}, criterion="takeuchi")
        best = found.best.hamiltonian
        fields = best.terms["degree 1"].coefficient
        couplings = np.zeros((6, 6))
        for (i, j), c in zip(
            best.terms["degree 2"].table.array, best.terms["degree 2"].coefficient, strict=True
        ):
            couplings[i, j] = couplings[j, i] = c
        local = 2 * fresh * (np.asarray(fields) + fresh @ couplings)
        gaps.append(np.mean(np.sum(np.logaddexp(0, local), axis=1)) - float(found.scores[0]))
    assert abs(np.mean(gaps)) < 4 * np.std(gaps) / np.sqrt(len(gaps))
    assert float(found.best.complexity) > 10


def test_complexity_of_likelihood_is_the_number_of_coefficients():
    found = learning.maximum_likelihood(drawn(models.ising(RING, 0.3), 1000, 0))
    assert float(found.complexity) == pytest.approx(21, rel=1e-8)


def test_refuses():
    with pytest.raises(PhysdlError, match="nothing to select"):
        learning.select(np.ones((3, 2)), {})
    with pytest.raises(PhysdlError, match="criterion"):
        learning.select(np.ones((3, 2)), reaches(1), criterion="akaike")
