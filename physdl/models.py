"""Named Hamiltonians: functions of a lattice and of dimensionless couplings.

Conventions. Couplings are reduced, K = J / (k_B T) and h = field / (k_B T), so the Boltzmann weight
is exp(-H). A positive coupling is ferromagnetic. A coupling of a lattice is one number, one number
per direction of a periodic box, or one per bond in the order of ``lattice.bonds``; a field is one
number or one per site.

On a periodic box with one site per cell the terms are stencils (translation is a roll), otherwise
tables of sites. A field given as the Python number 0 is *no field*: the term is left out, so that
methods for zero field know it; pass ``jnp.zeros(())`` for a field that is zero but differentiable.
"""

import itertools
import math
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from physdl.bibliography import cites
from physdl.errors import SettingError, ShapeError, SpaceError, TooLargeError
from physdl.hamiltonian import Dense, Hamiltonian, Sites, Stencil, Term
from physdl.lattices import Lattice
from physdl.pytree import IntArray, Table
from physdl.spaces import BINARY, LINE, SPIN, Finite, Line, embedded, finite, product, sphere, spin
from physdl.spaces import clock as clock_space
from physdl.spaces import potts as potts_space

__all__ = [
    "ashkin_teller",
    "blume_capel",
    "clock",
    "edwards_anderson",
    "gaussian",
    "heisenberg",
    "hopfield",
    "ising",
    "o_n",
    "p_spin",
    "phi4",
    "potts",
    "rbm",
    "sherrington_kirkpatrick",
    "xy",
]

MOST_MONOMIALS = 10**6


def _absent(value: ArrayLike) -> bool:
    return isinstance(value, int | float) and value == 0


def _bond_term(
    lattice: Lattice, coupling: ArrayLike, patterns: ArrayLike, n_components: int = 1
) -> Term:
    """Sum over bonds of coupling * sum_r prod_k x[end_k, component], ends 0 and 1.

    ``patterns`` is int [n_summed, degree, 2]: which end and which component each factor takes.
    On several components all rows take the same ends.
    """
    c, pattern = jnp.asarray(coupling, dtype=float), np.asarray(patterns)
    n_bonds = len(lattice.bonds.array)
    ends, components = pattern[..., 0], pattern[..., 1]
    if lattice.offsets is None:
        _check_coupling(c, ((), (n_bonds,)))
        variables = lattice.bonds.array[:, ends] * n_components + components
        return Sites(c, Table(variables[:, 0] if len(pattern) == 1 else variables))
    offsets = lattice.offsets.array
    n_directions, box = len(offsets), lattice.shape
    _check_coupling(c, ((), (n_directions,), (n_bonds,)))
    if c.shape == (n_bonds,) and n_bonds != n_directions:
        c = c.reshape(n_directions, *box)
    if n_components > 1:
        return Stencil(c, Table(ends[0][None, :, None] * offsets[:, None, :]), Table(components))
    moved = ends[None, :, :, None] * offsets[:, None, None, :]
    repeated = c if c.ndim == 0 else jnp.repeat(c, len(ends), axis=0)
    return Stencil(repeated, Table(moved.reshape(-1, *moved.shape[2:])))


def _check_coupling(c: Array, shapes: tuple[tuple[int, ...], ...]) -> None:
    if c.shape not in shapes:
        allowed = " or ".join(str(s) for s in shapes)
        raise ShapeError(
            f"a coupling of this lattice has shape {allowed} (one number, one per direction or one "
            f"per bond), got {c.shape}."
        )


def _dot(n_components: int) -> IntArray:
    a = np.arange(n_components)
    return np.stack([np.stack([0 * a, a], 1), np.stack([0 * a + 1, a], 1)], axis=1)


def _site_term(lattice: Lattice, value: ArrayLike, power: int = 1) -> Term:
    """Sum over sites of value * x_i^power for a scalar space."""
    c, n = jnp.asarray(value, dtype=float), lattice.n_sites
    if c.shape not in ((), (n,), lattice.shape):
        raise ShapeError(
            f"a field of this lattice has shape (), ({n},) or {lattice.shape}, got {c.shape}."
        )
    if lattice.offsets is not None:
        box = c if c.ndim == 0 else c.reshape(1, *lattice.shape)
        return Stencil(box, np.zeros((1, power, lattice.dim), int))
    return Sites(c.reshape(-1) if c.ndim else c, np.repeat(np.arange(n)[:, None], power, axis=1))


def _component_field(lattice: Lattice, field: ArrayLike, n_components: int) -> dict[str, Term]:
    """Minus field . x_i; a number acts on component 0, otherwise [c] or [n_sites, c]."""
    if _absent(field):
        return {}
    c, n = jnp.asarray(field, dtype=float), lattice.n_sites
    if c.shape not in ((), (n_components,), (n, n_components)):
        raise ShapeError(
            f"a field on {n_components} components has shape (), ({n_components},) or "
            f"({n}, {n_components}), got {c.shape}."
        )
    variables = np.arange(n * n_components).reshape(n, n_components)
    if c.ndim == 0:
        return {"site": Sites(-c, variables[:, :1])}
    if c.ndim == 1:
        return {"site": Sites(-c, variables.T[:, :, None])}
    return {"site": Sites(-c.reshape(-1), variables.reshape(-1, 1))}


def _scalar_field(lattice: Lattice, field: ArrayLike) -> dict[str, Term]:
    return {} if _absent(field) else {"site": _site_term(lattice, -jnp.asarray(field))}


_PAIR = np.array([[[0, 0], [1, 0]]])


@cites("ising1925")
def ising(lattice: Lattice, coupling: ArrayLike, field: ArrayLike = 0.0) -> Hamiltonian:
    """Ising model, H = -sum_<ij> K_ij s_i s_j - sum_i h_i s_i, s_i = -1, +1.

    Args:
      lattice: the sites and the bonds <ij>.
      coupling: K = J / (k_B T): a number, [n_directions] on a periodic box, or [n_bonds].
      field: h = mu B / (k_B T): a number, or one per site; random for a random-field model.

    Returns:
      A Hamiltonian with the terms ``"bond"`` and, with a field, ``"site"``.

    Raises:
      ShapeError: coupling or field have another shape.

    >>> from physdl import lattices
    >>> h = ising(lattices.square(4, 4), 0.44)
    >>> round(float(h(jnp.ones((4, 4)))), 6)  # -0.44 for each of 32 bonds
    -14.08
    """
    terms = {"bond": _bond_term(lattice, -jnp.asarray(coupling), _PAIR)}
    terms.update(_scalar_field(lattice, field))
    return Hamiltonian(terms, space=SPIN, shape=lattice.shape)


@cites("edwards1975")
def edwards_anderson(
    lattice: Lattice,
    beta: ArrayLike = 1.0,
    field: ArrayLike = 0.0,
    *,
    seed: int = 0,
    disorder: str = "gaussian",
) -> Hamiltonian:
    """Edwards-Anderson spin glass, H = -beta sum_<ij> J_ij s_i s_j - h sum_i s_i.

    J_ij is drawn once from ``seed``: standard normal (``"gaussian"``) or +1/-1 with equal
    probability (``"bimodal"``). Source: S. F. Edwards and P. W. Anderson, J. Phys. F 5, 965 (1975).

    Raises:
      SettingError: another kind of disorder.

    >>> from physdl import lattices
    >>> edwards_anderson(lattices.square(4, 4), 2.0, disorder="bimodal").n_parameters
    32
    """
    rng, n_bonds = np.random.default_rng(seed), len(lattice.bonds.array)
    if disorder not in ("gaussian", "bimodal"):
        raise SettingError(f"disorder is 'gaussian' or 'bimodal', got {disorder!r}.")
    j = rng.normal(size=n_bonds) if disorder == "gaussian" else rng.choice([-1.0, 1.0], n_bonds)
    return ising(lattice, jnp.asarray(beta) * jnp.asarray(j, float), field)


@cites("potts1952")
def potts(lattice: Lattice, q: int, coupling: ArrayLike, field: ArrayLike = 0.0) -> Hamiltonian:
    """Potts model, H = -K sum_<ij> delta(s_i, s_j) - h . x_i over q states.

    A state is a unit vector of R^q, so delta is the scalar product. A field is a number (acting
    on state 0), [q], or [n_sites, q]. Source: R. B. Potts, Proc. Camb. Phil. Soc. 48, 106 (1952).

    >>> from physdl import lattices
    >>> h = potts(lattices.chain(3), 3, 1.0)
    >>> float(h(jnp.eye(3))), float(h(jnp.eye(3)[jnp.array([0, 0, 0])]))
    (0.0, -3.0)
    """
    space = potts_space(q)
    terms = {"bond": _bond_term(lattice, -jnp.asarray(coupling), _dot(space.n_components), q)}
    terms.update(_component_field(lattice, field, space.n_components))
    return Hamiltonian(terms, space=space, shape=lattice.shape)


def clock(lattice: Lattice, q: int, coupling: ArrayLike, field: ArrayLike = 0.0) -> Hamiltonian:
    """Clock model, H = -K sum_<ij> cos(theta_i - theta_j) - h . x_i, theta = 2 pi k / q.

    A field is a number (along the x axis), [2], or [n_sites, 2].

    >>> from physdl import lattices
    >>> round(float(clock(lattices.chain(3), 4, 1.0)(jnp.array([[1, 0], [0, 1], [-1, 0]]))), 6)
    1.0
    """
    terms = {"bond": _bond_term(lattice, -jnp.asarray(coupling), _dot(2), 2)}
    terms.update(_component_field(lattice, field, 2))
    return Hamiltonian(terms, space=clock_space(q), shape=lattice.shape)


def o_n(lattice: Lattice, n: int, coupling: ArrayLike, field: ArrayLike = 0.0) -> Hamiltonian:
    """O(n) model, H = -K sum_<ij> x_i . x_j - h . x_i over unit vectors of R^n.

    A field is a number (along the first axis), [n], or [n_sites, n].
    """
    space = sphere(n)
    terms = {"bond": _bond_term(lattice, -jnp.asarray(coupling), _dot(n), n)}
    terms.update(_component_field(lattice, field, n))
    return Hamiltonian(terms, space=space, shape=lattice.shape)


def xy(lattice: Lattice, coupling: ArrayLike, field: ArrayLike = 0.0) -> Hamiltonian:
    """XY model, the O(2) model: H = -K sum_<ij> cos(theta_i - theta_j) - h . x_i.

    >>> from physdl import lattices
    >>> float(xy(lattices.chain(3), 1.0)(jnp.array([[1.0, 0], [0, 1], [1, 0]])))
    -1.0
    """
    return o_n(lattice, 2, coupling, field)


def heisenberg(lattice: Lattice, coupling: ArrayLike, field: ArrayLike = 0.0) -> Hamiltonian:
    """Classical Heisenberg model, the O(3) model."""
    return o_n(lattice, 3, coupling, field)


@cites("blume1966", "capel1966")
def blume_capel(
    lattice: Lattice,
    coupling: ArrayLike,
    crystal_field: ArrayLike,
    field: ArrayLike = 0.0,
    *,
    biquadratic: ArrayLike = 0.0,
    s: float = 1,
) -> Hamiltonian:
    """Blume-Capel model, H = -K sum s_i s_j + D sum s_i^2 - h sum s_i, s_i = -s, ..., s.

    ``biquadratic`` adds -Q sum_<ij> s_i^2 s_j^2 (Blume-Emery-Griffiths). Sources: M. Blume,
    Phys. Rev. 141, 517 (1966); H. W. Capel, Physica 32, 966 (1966).

    >>> from physdl import lattices
    >>> float(blume_capel(lattices.chain(3), 1.0, 0.5)(jnp.array([1, 0, -1])))
    2.0
    """
    terms = {"bond": _bond_term(lattice, -jnp.asarray(coupling), _PAIR)}
    terms["crystal_field"] = _site_term(lattice, crystal_field, power=2)
    if not _absent(biquadratic):
        squares = np.concatenate([_PAIR, _PAIR], axis=1)
        terms["biquadratic"] = _bond_term(lattice, -jnp.asarray(biquadratic), squares)
    terms.update(_scalar_field(lattice, field))
    return Hamiltonian(terms, space=spin(s), shape=lattice.shape)


@cites("ashkin1943")
def ashkin_teller(
    lattice: Lattice,
    coupling: ArrayLike,
    four_spin: ArrayLike,
    coupling_tau: ArrayLike | None = None,
) -> Hamiltonian:
    """Ashkin-Teller model, H = -sum_<ij> (K s_i s_j + K' t_i t_j + K4 s_i s_j t_i t_j).

    A site carries two Ising spins (s, t), a point of {-1, +1}^2; K' = K by default. Source:
    J. Ashkin and E. Teller, Phys. Rev. 64, 178 (1943).

    >>> from physdl import lattices
    >>> float(ashkin_teller(lattices.chain(3), 1.0, 0.5)(jnp.ones((3, 2))))
    -7.5
    """
    space = finite([[a, b] for a in (-1, 1) for b in (-1, 1)], name="SPIN x SPIN")
    one, other = (np.array([[[0, a], [1, a]]]) for a in (0, 1))
    four = np.array([[[0, 0], [0, 1], [1, 0], [1, 1]]])
    tau = coupling if coupling_tau is None else coupling_tau
    terms = {
        "bond_sigma": _bond_term(lattice, -jnp.asarray(coupling), one, 2),
        "bond_tau": _bond_term(lattice, -jnp.asarray(tau), other, 2),
        "four_spin": _bond_term(lattice, -jnp.asarray(four_spin), four, 2),
    }
    return Hamiltonian(terms, space=space, shape=lattice.shape)


@cites("albergo2019")
def phi4(
    lattice: Lattice,
    *,
    r: ArrayLike,
    u: ArrayLike,
    gradient: ArrayLike = 1.0,
    field: ArrayLike = 0.0,
    higher: Mapping[int, ArrayLike] | None = None,
) -> Hamiltonian:
    """Landau-Ginzburg-Wilson field, H = sum_<ij> c (phi_i - phi_j)^2 + sum_i (r phi^2 + u phi^4).

    ``gradient`` is c, ``field`` adds -h sum phi_i, and ``higher`` adds w_p phi^p for each
    {p: w_p}. With c = 1, r = m^2, u = lambda this is the action of M. S. Albergo, G. Kanwar and
    P. E. Shanahan, Phys. Rev. D 100, 034515 (2019). The gradient is written as its polynomial:
    ``"gradient"`` is -2 c phi_i phi_j and ``"gradient_square"`` is c (phi_i^2 + phi_j^2).

    Raises:
      SettingError: a power in ``higher`` is not an integer above 2, or is 4 (which is ``u``).

    >>> from physdl import lattices
    >>> h = phi4(lattices.square(4, 4), r=-4.0, u=6.975)
    >>> round(float(h(0.5 * jnp.ones((4, 4)))), 6)  # 16 (-4/4 + 6.975/16)
    -9.025
    """
    c = jnp.asarray(gradient, dtype=float)
    terms: dict[str, Term] = {}
    if not _absent(gradient):
        ends = np.array([[[0, 0], [0, 0]], [[1, 0], [1, 0]]])
        terms["gradient"] = _bond_term(lattice, -2 * c, _PAIR)
        terms["gradient_square"] = _bond_term(lattice, c, ends)
    powers = {2: r, 4: u, **(higher or {})}
    for power, value in powers.items():
        if int(power) != power or power < 2 or (power in (2, 4) and power in (higher or {})):
            raise SettingError(
                f"higher powers of phi4 are integers above 2 other than 4, got {power!r}."
            )
        if not _absent(value):
            terms[f"phi{power}"] = _site_term(lattice, value, power=int(power))
    terms.update(_scalar_field(lattice, field))
    return Hamiltonian(terms, space=LINE, shape=lattice.shape)


def gaussian(
    lattice: Lattice, *, r: ArrayLike, gradient: ArrayLike = 1.0, field: ArrayLike = 0.0
) -> Hamiltonian:
    """Gaussian field, H = sum_<ij> c (phi_i - phi_j)^2 + r sum phi_i^2 - h sum phi_i.

    Z is finite where the quadratic form is positive, i.e. for r > 0 on a periodic lattice.

    >>> from physdl import lattices
    >>> gaussian(lattices.chain(4), r=0.5).degree
    2
    """
    return phi4(lattice, r=r, u=0.0, gradient=gradient, field=field)


@cites("sherrington1975")
def sherrington_kirkpatrick(
    n_sites: int, beta: ArrayLike = 1.0, field: ArrayLike = 0.0, *, mean: float = 0.0, seed: int = 0
) -> Hamiltonian:
    """Sherrington-Kirkpatrick model, H = -beta sum_{i<j} J_ij s_i s_j - h sum_i s_i.

    J_ij is normal with mean ``mean`` / N and variance 1 / N, drawn once from ``seed``. Source:
    D. Sherrington and S. Kirkpatrick, Phys. Rev. Lett. 35, 1792 (1975).

    >>> sherrington_kirkpatrick(6, 0.5).shape
    (6,)
    """
    n = _count(n_sites, "n_sites")
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.normal(mean / n, 1 / np.sqrt(n), size=(n, n)), 1)
    terms: dict[str, Term] = {
        "pair": Dense(-jnp.asarray(beta, float) * jnp.asarray(upper + upper.T, float))
    }
    terms.update(_every_site(n, field))
    return Hamiltonian(terms, space=SPIN, shape=(n,))


def _count(value: int, name: str) -> int:
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise SettingError(f"{name} is a positive integer, got {value!r}.")
    return int(value)


def _every_site(n_sites: int, field: ArrayLike) -> dict[str, Term]:
    if _absent(field):
        return {}
    h = jnp.asarray(field, dtype=float)
    if h.shape not in ((), (n_sites,)):
        raise ShapeError(f"a field on {n_sites} sites has shape () or ({n_sites},), got {h.shape}.")
    return {"site": Sites(-h, np.arange(n_sites)[:, None])}


@cites("derrida1981")
def p_spin(
    n_sites: int, p: int, beta: ArrayLike = 1.0, field: ArrayLike = 0.0, *, seed: int = 0
) -> Hamiltonian:
    """p-spin model, H = -beta sum_{i1<...<ip} J_{i1...ip} s_i1 ... s_ip - h sum_i s_i.

    J is normal with variance p! / (2 N^(p-1)), drawn once from ``seed``. Source: B. Derrida,
    Phys. Rev. B 24, 2613 (1981).

    Raises:
      SettingError: p is not between 1 and the number of sites.
      TooLargeError: there are more than 10^6 monomials.

    >>> p_spin(6, 3).n_parameters
    20
    """
    n = _count(n_sites, "n_sites")
    p = _count(p, "p")
    if p > n:
        raise SettingError(f"a monomial of p different spins needs p <= n_sites, got p={p}, n={n}.")
    if math.comb(n, p) > MOST_MONOMIALS:
        raise TooLargeError(
            f"{math.comb(n, p):.1e} products of p={p} out of n={n} spins are more than "
            f"{MOST_MONOMIALS:.0e}: choose a smaller n or p."
        )
    table = np.array(list(itertools.combinations(range(n), p)), dtype=np.int32)
    sigma = math.sqrt(math.factorial(p) / (2 * n ** (p - 1)))
    j = np.random.default_rng(seed).normal(0.0, sigma, size=len(table))
    terms: dict[str, Term] = {
        "interaction": Sites(-jnp.asarray(beta, float) * jnp.asarray(j, float), table)
    }
    terms.update(_every_site(n, field))
    return Hamiltonian(terms, space=SPIN, shape=(n,))


@cites("hopfield1982")
def hopfield(patterns: ArrayLike, beta: ArrayLike = 1.0, field: ArrayLike = 0.0) -> Hamiltonian:
    """Hopfield memory, H = -beta sum_{i<j} J_ij s_i s_j - h sum_i s_i, J = xi^T xi / N.

    ``patterns`` xi has shape [n_patterns, n_sites], entries +1 or -1; J_ii = 0. Source:
    J. J. Hopfield, Proc. Natl. Acad. Sci. 79, 2554 (1982).

    >>> float(hopfield([[1, -1, 1]])(jnp.array([1, -1, 1])))
    -1.0
    """
    xi = jnp.asarray(patterns, dtype=float)
    if xi.ndim != 2 or 0 in xi.shape:
        raise ShapeError(f"patterns have shape [n_patterns, n_sites], got {xi.shape}.")
    n = xi.shape[1]
    j = (xi.T @ xi) / n
    pair = Dense(-jnp.asarray(beta, float) * (j - jnp.diag(jnp.diagonal(j))))
    return Hamiltonian({"pair": pair, **_every_site(n, field)}, space=SPIN, shape=(n,))


def rbm(
    weights: Float[Array, "n_visible *c n_hidden"],
    visible_bias: ArrayLike = 0.0,
    hidden_bias: ArrayLike = 0.0,
    *,
    visible: Finite | Line = BINARY,
    hidden: Finite | Line = BINARY,
) -> Hamiltonian:
    """Restricted Boltzmann machine, H = -v^T W h - a . v - b . h, sites (v, h) in this order.

    Units are 0/1 by default, +1/-1 with ``SPIN``. A visible or hidden layer on ``LINE`` is
    Gaussian: it has the extra term v^2 / 2 for each unit. Visible units may be vectors of c
    components, as of ``potts(q)``: weights and visible bias then have an axis for them, and hidden
    units are ``embedded``, (s, 0, ..., 0) in place of s. Source: P. Smolensky, in Parallel
    Distributed Processing, vol. 1 (MIT Press, 1986).

    Raises:
      ShapeError: weights or biases have other shapes.
      SpaceError: visible units are vectors and hidden ones are not finite, or hidden are vectors.

    >>> machine = rbm(jnp.ones((3, 2)), hidden_bias=jnp.array([0.5, 0.0]))
    >>> float(machine(jnp.array([1, 1, 0, 1, 0])))
    -2.5
    """
    w, unit = jnp.asarray(weights, dtype=float), visible.event_shape
    need = ("n_visible", *map(str, unit), "n_hidden")
    if w.ndim != len(need) or w.shape[1:-1] != unit or 0 in w.shape:
        raise ShapeError(
            f"weights of visible units {visible!r} have shape [{', '.join(need)}], got {w.shape}."
        )
    n_visible, n_hidden, c = w.shape[0], w.shape[-1], visible.n_components
    if hidden.event_shape or (unit and not isinstance(hidden, Finite)):
        raise SpaceError(f"hidden units are numbers, finite beside vectors, got {hidden!r}.")
    terms: dict[str, Term] = {"weight": _weights(w)}
    layers = {"visible": (visible, visible_bias, 0, w.shape[:-1])}
    layers["hidden"] = (hidden, hidden_bias, n_visible * c, (n_hidden,))
    for name, (space, bias, start, shape) in layers.items():
        b, step = jnp.asarray(bias, dtype=float), 1 if name == "visible" else c
        variables = start + step * np.arange(math.prod(shape))[:, None]
        if b.shape not in ((), shape):
            raise ShapeError(f"the {name} bias has shape () or {shape}, got {b.shape}.")
        if not _absent(bias):
            terms[name] = Sites(-b.reshape(-1) if b.ndim else -b, variables)
        if isinstance(space, Line):
            terms[f"{name}_square"] = Sites(0.5, np.repeat(variables, 2, axis=1))
    other = embedded(hidden, c) if unit and isinstance(hidden, Finite) else hidden
    spaces = product([visible] * n_visible + [other] * n_hidden)
    return Hamiltonian(terms, space=spaces, shape=(n_visible + n_hidden,))


def _weights(w: Float[Array, "n_visible *c n_hidden"]) -> Term:
    """Minus v^T W h: all components of a visible unit with the first of a hidden one."""
    if w.ndim == 2:
        return Dense(-w, blocks=(0, w.shape[0]))
    n_visible, c, n_hidden = w.shape
    first, second = (a.reshape(-1) for a in np.indices((n_visible * c, n_hidden)))
    return Sites(-w.reshape(-1), np.stack([first, c * (n_visible + second)], axis=1))
