r"""log Z from a distribution whose draws and probabilities are exact.

For x ~ q the weight w = exp(-H(x)) / q(x) has the mean Z, whatever q is, and by Jensen's inequality

    E_q[log w]  <=  log Z = log E_q[w]  <=  E_p[log w],

with differences KL(q || p) on the left and KL(p || q) on the right, p = exp(-H) / Z. The first is
the variational bound, the mean of weights is importance sampling, and the last takes samples of p
from elsewhere. Means of m weights have a bound of their own between the first two,

    E_q[log w]  <=  E[log (w_1 + ... + w_m) / m]  <=  log Z,

whose gap, var(w) / (2 m Z^2) for large m, falls with m without any training.

Consequence: draws are independent, so errors are plain ones, and the scatter of log w says how far
q is from p where q goes. Where it never goes it says nothing: a q that has lost one of two valleys
finds log Z - log 2 without a warning from its own weights. So three more things are looked at: that
q has the symmetries of h among common shifts of all labels, that no few weights stand out from the
rest, and, where samples of p are given, that both ways agree.

Sources: K. A. Nicoli et al., Phys. Rev. E 101, 023304 (2020) (arXiv:1910.13496); the bound of
several weights: Y. Burda, R. Grosse and R. Salakhutdinov, ICLR 2016 (arXiv:1509.00519), theorem 1.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key

from physdl.bibliography import cites
from physdl.ensemble import Ensemble
from physdl.errors import SettingError
from physdl.estimators._base import Estimate, Status
from physdl.estimators._sampled import LIKELY, at_least, log_mean, required, sampled
from physdl.hamiltonian import Hamiltonian
from physdl.networks import AutoregressiveNetwork, Mixture, frontier
from physdl.networks.autoregressive import is_invariant, shifted
from physdl.numerics import logsumexp
from physdl.pytree import module, static
from physdl.sampling import _random as random
from physdl.spaces import Product

__all__ = ["Autoregressive"]

AT_ONCE = 512
N_GROUPS = 64
N_SHIFTED = 256
ASYMMETRIC = 0.1
HEAVY = 4.0
APART = 4.0


@cites("nicoli2020", "burda2016")
@module
class Autoregressive:
    """Importance sampling from an autoregressive network, and its variational bound.

    Attributes:
      q: a distribution of ``learning.minimise_free_energy`` on the sites of h; ``None`` draws each
        site in the field of those before it, without a network.
      n_samples: draws.
      samples: configurations drawn under h by other means, [n, *state], in equilibrium and
        independent: they give ``upper``, and a check that q has lost nothing.

    The estimate is the logarithm of the mean weight plus half its squared relative error. ``lower``
    is the bound of the means of n_samples / 64 weights, less 2.3 of its standard errors, and
    ``upper`` the bound from ``samples`` plus as many of its own: they hold with probability 0.99.

    ``info``: ``"bound"``, the mean of log w, the variational bound in expectation, with
    ``"bound_stderr"``; ``"importance_bound"``, that of means of weights, likewise;
    ``"effective_sample_size"``; ``"log_weight_variance"``; ``"symmetry"``, the least mean of
    min(1, q(g x) / q(x)) over shifts g of all labels that leave h as it is (1 where there are
    none); with samples ``"log_z_reverse"``, what they find for log Z.

    The status is ``FEW`` where few draws carry the weight. It is ``UNCONVERGED`` where q has lost
    states: the symmetry is below 0.1, or the effective number of weights is less than a quarter of
    what their variance explains, or the two ways differ by more than 4 standard errors.

    Raises:
      SettingError: fewer than two draws, no key, or q is of other sites than h.
      SpaceError: the space of h is not finite.

    >>> from physdl import lattices, models, reference
    >>> h = models.ising(lattices.square(4, 4), 0.4)
    >>> out = Autoregressive()(h, key=jax.random.key(0))
    >>> exact = reference.kaufman_log_z(4, 4, 0.4)
    >>> bool(abs(out.log_z - exact) < 4 * out.stderr), bool(out.lower < exact)
    (True, True)
    """

    q: AutoregressiveNetwork | Mixture | None = None
    n_samples: int = static(default=4096)
    samples: Float[Array, " n *state"] | None = None

    def __post_init__(self) -> None:
        at_least("importance sampling", n_samples=(self.n_samples, 2))
        if self.samples is not None:
            object.__setattr__(self, "samples", jnp.asarray(self.samples, float))
            at_least("a bound from samples", samples=(len(self.samples), 2))

    def __call__(self, h: Hamiltonian, *, key: Key[Array, ""] | None = None) -> Estimate:
        """The estimate, with the draws of q as its ensemble."""
        known = jax.lax.stop_gradient(h)
        q = self.q
        if q is None:
            q = frontier(known, widths=(1,), key=jax.random.key(0))
        if (q.h.space, q.h.shape) != (h.space, h.shape):
            raise SettingError(
                f"the network draws {q.h.space!r} of shape {q.h.shape}, and h is of {h.space!r} "
                f"of shape {h.shape}: train one for h."
            )
        out: Estimate = _found(q, h, self.samples, required(key), n=self.n_samples)
        return out

    def larger(self) -> "Autoregressive":
        """Twice the draws."""
        return dataclasses.replace(self, n_samples=2 * self.n_samples)


@functools.partial(jax.jit, static_argnames="n")
def _found(
    q: AutoregressiveNetwork | Mixture,
    h: Hamiltonian,
    samples: Float[Array, " m *state"] | None,
    key: Key[Array, ""],
    *,
    n: int,
) -> Estimate:
    known, q = jax.lax.stop_gradient((h, q))
    x, log_q = jax.lax.map(q.sample, random.split(key, n), batch_size=min(AT_ONCE, n))
    log_w = (-jax.vmap(known)(x) - log_q).astype(h.dtype)
    mean, stderr, effective, few = log_mean(log_w)
    bound, bound_stderr = _mean(log_w)
    groups = log_w[: n - n % min(N_GROUPS, n)].reshape(min(N_GROUPS, n), -1)
    tighter, tighter_stderr = _mean(logsumexp(groups, axis=1) - math.log(groups.shape[1]))
    variance = jnp.var(log_w, where=jnp.isfinite(log_w))
    symmetry = _symmetry(q, known, x, log_q)
    weights_alone = jnp.exp(_log_participation(log_w))
    lost = symmetry < ASYMMETRIC
    lost |= weights_alone * HEAVY < n * jnp.exp(-variance)
    info = {
        "bound": bound,
        "bound_stderr": bound_stderr,
        "importance_bound": tighter,
        "importance_bound_stderr": tighter_stderr,
        "effective_sample_size": effective,
        "log_weight_variance": variance,
        "symmetry": symmetry,
    }
    upper: Array | float = jnp.inf
    if samples is not None:
        other = _log_weights(q, known, samples)
        above, above_stderr = _mean(other)
        upper = above + LIKELY * above_stderr
        inverse, inverse_stderr, _, _ = log_mean(-other)
        info["log_z_reverse"] = -inverse
        lost |= ~(jnp.abs(mean + inverse) <= APART * jnp.hypot(stderr, inverse_stderr))
    status = jnp.where(few, Status.FEW, jnp.where(lost, Status.UNCONVERGED, Status.OK))
    return sampled(
        h,
        Ensemble(x[:, None], log_w[:, None], mean + stderr**2 / 2, h=known),
        stderr,
        method=f"importance sampling of an autoregressive network, {n} draws",
        status=status,
        lower=tighter - LIKELY * tighter_stderr,
        upper=upper,
        info=info,
    )


def _mean(values: Float[Array, " n"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The mean of independent numbers, and its standard error: infinite where one of them is."""
    mean, spread = jnp.mean(values), jnp.std(values, ddof=1)
    return mean, jnp.where(jnp.isinf(mean), jnp.inf, spread) / math.sqrt(len(values))


def _log_participation(log_w: Float[Array, " n"]) -> Float[Array, ""]:
    """log of (sum w)^2 / sum w^2."""
    return 2 * logsumexp(log_w) - logsumexp(2 * log_w)


def _log_weights(
    q: AutoregressiveNetwork | Mixture, h: Hamiltonian, x: ArrayLike
) -> Float[Array, " n"]:
    states = jnp.asarray(x, h.dtype)
    log_q = jax.lax.map(q.log_prob, states, batch_size=min(AT_ONCE, len(states)))
    log_w: Array = -jax.vmap(h)(states) - log_q
    return log_w.astype(h.dtype)


def _symmetry(
    q: AutoregressiveNetwork | Mixture,
    h: Hamiltonian,
    x: Float[Array, " n *state"],
    log_q: Float[Array, " n"],
) -> Float[Array, ""]:
    """The least overlap of q with its image under a shift of all labels that leaves h alone."""
    least = jnp.ones((), h.dtype)
    if isinstance(h.space, Product):
        return least
    x, log_q = x[:N_SHIFTED], log_q[:N_SHIFTED]
    for shift in range(1, q.n_states):
        image = jax.vmap(lambda x, s=shift: shifted(h, x, s))(x)
        ratio = jax.vmap(q.log_prob)(image) - log_q
        overlap = jnp.mean(jnp.exp(jnp.minimum(ratio, 0))).astype(h.dtype)
        least = jnp.where(is_invariant(h, x, shift), jnp.minimum(least, overlap), least)
    return least
