r"""Variational Monte Carlo renormalization group: renormalized couplings and exponents.

A bias V = sum_a J_a S_a on the block spins x' is added to H(x), and J minimises the convex

    Omega(J) = log(Z_V / Z) + <V>_t,          dOmega/dJ_a = <S_a>_t - <S_a>_V,

with t the distribution of independent block spins, where every <S_a>_t is zero. At the minimum the
biased block spins look independent, and then the bias has cancelled their Hamiltonian,

    H'(x') = -sum_a K'_a S_a(x'),             K'_a = J_a

(Y. Wu and R. Car, Phys. Rev. Lett. 119, 220602 (2017)). Exactly, if the operators suffice; else J
is their best choice in the sense of Omega, which differs from that of the pseudolikelihood. That
<S_a>_V stays zero as the couplings K of H change gives the linearised map,

    dK'/dK = B^(-1) A,       B = cov_V(S_a(x'), S_c(x')),       A = cov_V(S_a(x'), S_b(x)),

the matrices of ``rg.mcrg`` in an ensemble whose block spins are not correlated, so that there is no
critical slowing down of theirs.

J is found by averaged stochastic gradient descent in independent runs, and its error is taken away
to first order from both K' and dK'/dK by one step of Newton (``_descent``). Errors are those
between runs.

Truncated to few operators the two matrices differ. K' hardly changes when operators are added, so
dK'/dK is close to a block of the complete matrix, and its exponents lack what goes through the
couplings left out; the T of ``rg.mcrg`` attributes it to those that are kept. Enumerated for 4 x 4
critical spins and b = 2, y_T is 0.412, 0.995, 0.985 of one to three operators, which suffice,
against 0.870, 0.983, 0.985 of ``rg.mcrg``. Of 27 x 27 and b = 3, four operators give 0.898(3), as
does their block of the matrix of 20, 0.898(5); all 20 give 0.958(11), and ``rg.mcrg`` of the four
0.961(3).
"""

import functools
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key
from numpy.typing import NDArray

from physdl.bibliography import cites
from physdl.errors import SettingError, SpaceError, StructureError
from physdl.hamiltonian import Hamiltonian, Stencil
from physdl.learning._biased import Biased, BlockSpin, classes_of
from physdl.learning._descent import RUNS, Minimum, minimised
from physdl.pytree import module, static
from physdl.rg import Couplings, Exponents, RGStatus, exponents_of_matrix
from physdl.rg._blocks import Triangles
from physdl.rg.block_spin import BlockDecimation, Majority
from physdl.rg.operators import OperatorBasis
from physdl.sampling import _random as random
from physdl.sampling._chains import positive
from physdl.spaces import SPIN
from physdl.statistics import Mean

__all__ = ["VariationalMCRG", "variational_mcrg"]

RATE = 0.2
FLAT = 1e-6


@module
class VariationalMCRG:
    """Renormalized couplings, and how they change with those of the model.

    Attributes:
      couplings: K'_a with the covariance of their errors, and a status: UNCONVERGED where the
        square of the last Newton step is above the error, DEGENERATE where block spins did not
        move enough to tell couplings apart, LEFT where a number is not finite.
      runs: K'_a of every run, [n_runs, n].
      matrices: dK'_a / dK_b of every run, [n_runs, n, n].
      correlations: <S_a>_V per monomial of every run, zero at the minimum, [n_runs, n].
      scale: the length ratio b.
    """

    couplings: Couplings
    runs: Float[Array, "n_runs n"]
    matrices: Float[Array, "n_runs n n"]
    correlations: Float[Array, "n_runs n"]
    scale: float = static()

    @property
    def jacobian(self) -> Mean:
        """dK'_a / dK_b, with errors between runs, [n, n]."""
        n = len(self.matrices)
        mean = jnp.mean(self.matrices, axis=0)
        square = jnp.sum((self.matrices - mean[None]) ** 2, axis=0)
        return Mean(mean, jnp.sqrt(square / (n * (n - 1))))

    def exponents(self) -> Exponents:
        """Eigenvalues, eigenvectors and exponents of dK'/dK, without errors."""
        found: Exponents = _exponents(jnp.mean(self.matrices, axis=0), self.scale)
        return found

    def y(self, *, index: int = 0) -> Mean:
        """The exponent of that index, descending, with its jackknife error over runs.

        Raises:
          SettingError: there is no such exponent.
        """
        n_operators = self.runs.shape[1]
        if not 0 <= index < n_operators:
            raise SettingError(
                f"{n_operators} operators have exponents 0 to {n_operators - 1}, got {index=}."
            )
        left_out = _left_out_exponents(self.matrices, self.scale)[:, index]
        spread = jnp.sum((left_out - jnp.mean(left_out)) ** 2)
        n = len(left_out)
        return Mean(self.exponents().y[index], jnp.sqrt(spread * (n - 1) / n))

    def __repr__(self) -> str:
        return repr(self.couplings)


@cites("wucar2017")
def variational_mcrg(
    h: Hamiltonian,
    blocks: BlockSpin,
    operators: OperatorBasis,
    *,
    key: Key[Array, ""],
    n_runs: int = 8,
    n_chains: int = 8,
    n_updates: int = 200,
    n_sweeps: int = 1000,
    optimiser: optax.GradientTransformation | None = None,
) -> VariationalMCRG:
    """The couplings of the block spins of a model, by minimising a convex functional.

    Args:
      h: a Hamiltonian of spins on a periodic box, of ``Stencil`` terms.
      blocks: ``rg.Majority`` or ``rg.BlockDecimation`` of spins, with a whole number b; ties are
        left to chance and are sampled along.
      operators: the S_a, one parity or both; the box of the blocks must be large enough for them.
      key: for everything.
      n_runs: independent minimisations; errors are those between them.
      n_chains: configurations of each run.
      n_updates: of J, each after one sweep of all chains.
      n_sweeps: with J held, for the last step of Newton and for dK'/dK.
      optimiser: of optax, for gradients per monomial, hence of order 1; gradient descent with the
        rate 0.2 by default.

    Raises:
      SettingError: a number is out of range, the optimiser is none of optax, or there is no
        operator.
      ShapeError: blocks or operators do not fit on the box, or operators are the same on it.
      SpaceError: the model or the block map is not one of spins.
      StructureError: h has other terms than stencils, or the block map is another one.

    >>> from physdl import lattices, models, rg
    >>> lattice = lattices.chain(12)
    >>> found = variational_mcrg(
    ...     models.ising(lattice, 0.8),
    ...     rg.BlockDecimation(2),
    ...     rg.operator_basis(lattice, 2, 1),
    ...     key=jax.random.key(0),
    ... )
    >>> k = found.couplings["nearest neighbour"]
    >>> bool(abs(k.value - np.log(np.cosh(1.6)) / 2) < 4 * k.stderr), bool(k.stderr < 0.01)
    (True, True)
    """
    numbers = {"n_updates": (n_updates, 2), "n_sweeps": (n_sweeps, 2), "n_chains": (n_chains, 1)}
    for name, (value, least) in {"n_runs": (n_runs, 2), **numbers}.items():
        positive(value, name, least)
    if optimiser is not None and not isinstance(optimiser, optax.GradientTransformation):
        raise SettingError(f"the optimiser is one of optax, as optax.sgd(0.1), got {optimiser!r}.")
    coarse = _coarse_box(h, blocks, operators)
    classes = classes_of(h, operators, int(blocks.scale), coarse)
    sampler = Biased(h, blocks, operators, classes)
    found: VariationalMCRG = _minimised(
        sampler,
        random.split(key, n_runs),
        jnp.asarray(n_updates, jnp.int32),
        jnp.asarray(n_sweeps, jnp.int32),
        n_chains=n_chains,
        variances=tuple(_variances(operators, coarse).tolist()),
        optimiser=optimiser or _standard(),
    )
    return found


_exponents = jax.jit(exponents_of_matrix)


@jax.jit
def _left_out_exponents(
    matrices: Float[Array, "n_runs n n"], scale: float
) -> Float[Array, "n_runs n"]:
    """The exponents of the mean over all runs but one."""
    total = jnp.sum(matrices, axis=0)
    means = (total[None] - matrices) / (len(matrices) - 1)
    found: Array = jax.vmap(lambda m: exponents_of_matrix(m, scale).y)(means)
    return found


def _coarse_box(h: Hamiltonian, blocks: BlockSpin, operators: OperatorBasis) -> tuple[int, ...]:
    """The box of the blocks, once everything is found to fit."""
    if not isinstance(blocks, Majority | BlockDecimation) or isinstance(blocks.blocks, Triangles):
        raise StructureError(
            f"the block map must draw every block from its own b x ... x b sites, so it is "
            f"Majority(b) or BlockDecimation(b), got {blocks!r}."
        )
    if h.space != SPIN or blocks.space != SPIN:
        raise SpaceError(
            f"block spins are independent without a bias that is known for {SPIN!r} alone, got a "
            f"model of {h.space!r} and blocks of {blocks.space!r}."
        )
    other = [name for name, term in h.terms.items() if not isinstance(term, Stencil)]
    if other:
        raise StructureError(
            f"the Hamiltonian must consist of Stencil terms on a periodic box, but {other[0]!r} is "
            f"a {type(h.terms[other[0]]).__name__}."
        )
    if not len(operators):
        raise SettingError("give operators, from operator_basis.")
    coarse = jax.eval_shape(lambda: blocks(jnp.zeros(h.shape), key=jax.random.key(0)))
    operators.check(h.shape)
    operators.check(coarse.shape)
    return tuple(coarse.shape)


def _variances(operators: OperatorBasis, coarse: tuple[int, ...]) -> NDArray[np.float64]:
    """<S_a^2> of independent spins, [n]."""
    h = operators.hamiltonian(np.zeros(len(operators)), coarse)
    counts = []
    for term in h.terms.values():
        assert isinstance(term, Stencil)
        rows = np.sort(term.to_sites(coarse, SPIN).table.array, axis=1)
        counts.append(Counter(map(tuple, rows.tolist())))
    return np.array([sum(n**2 for n in c.values()) for c in counts], float)


@functools.cache
def _standard() -> optax.GradientTransformation:
    return optax.sgd(RATE)


@functools.partial(jax.jit, static_argnames=("variances", "n_chains", "optimiser"))
def _minimised(
    sampler: Biased,
    keys: Key[Array, " n_runs"],
    n_updates: Int[Array, ""],
    n_sweeps: Int[Array, ""],
    *,
    n_chains: int,
    variances: tuple[float, ...],
    optimiser: optax.GradientTransformation,
) -> VariationalMCRG:
    run = functools.partial(
        minimised,
        sampler,
        n_updates=n_updates,
        n_sweeps=n_sweeps,
        n_chains=n_chains,
        unit=jnp.asarray(variances, sampler.h.dtype),
        optimiser=optimiser,
    )
    return _result(sampler, jax.vmap(run, axis_name=RUNS)(keys))


def _result(sampler: Biased, runs: Minimum) -> VariationalMCRG:
    k, matrices, last, correlations, told = runs
    mean = jnp.mean(k, axis=0)
    apart = k - mean[None]
    covariance = apart.T @ apart / (len(k) * (len(k) - 1))
    far = jnp.any(jnp.mean(last, axis=0) ** 2 > jnp.sqrt(jnp.diagonal(covariance)))
    status = jnp.select(
        [~jnp.all(jnp.isfinite(k)), ~(jnp.min(told) > FLAT), far],
        [s.value for s in (RGStatus.LEFT, RGStatus.DEGENERATE, RGStatus.UNCONVERGED)],
        RGStatus.OK.value,
    ).astype(jnp.int32)
    couplings = Couplings(mean, covariance, status, sampler.operators)
    return VariationalMCRG(couplings, k, matrices, correlations, sampler.blocks.scale)
