r"""Restricted Boltzmann machines: two layers of units, independent within each given the other.

    E(v, h) = -a . v - b . h - v W h,        p(v, h) = exp(-E) / Z,        log Z in nats

with |v|^2 / 2 more for a Gaussian layer on ``LINE``. Given h, unit i of the visible layer sees the
field a_i + sum_j W_ij h_j and nothing else, and the reverse; so means, draws and sums over a layer
are products over its units of one function of the field f,

    k(f) = log sum_s exp(f . s),        <s> = k'(f),        F(v) = -a . v - sum_j k_j(b_j + v W_j)

where F is the free energy of the visible layer: its effective Hamiltonian, exp(-F) = sum_h exp(-E).
A unit on ``LINE`` has k = f^2 / 2 + log(2 pi) / 2. Visible units may be vectors, as Potts states
are, for which W has an axis for components.

Sources: P. Smolensky, in Parallel Distributed Processing, vol. 1 (MIT Press, 1986); M. Welling,
M. Rosen-Zvi and G. Hinton, NIPS 17 (2004) (other units than 0 and 1).

Consequence: with the joint Hamiltonian ``rbm.hamiltonian`` all of physdl applies, and on few hidden
units log Z is exact (``estimators.LayerSum``).
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key

from physdl.errors import SettingError, ShapeError, SpaceError, StructureError
from physdl.hamiltonian import Dense, Hamiltonian, Sites, Term
from physdl.models import rbm as joint
from physdl.pytree import is_traced, module, static
from physdl.sampling import _random as random
from physdl.spaces import BINARY, Finite, Line

__all__ = ["RBM"]

N_NEWTON = 50


@module
class RBM:
    """A restricted Boltzmann machine; called as ``rbm(v)``, the free energy of the visible layer.

    Attributes:
      weights: W, [n_visible, n_hidden], or [n_visible, c, n_hidden] where a visible unit is a
        vector of c components.
      visible_bias: a, [n_visible] or [n_visible, c]; a number is that of every unit.
      hidden_bias: b, [n_hidden]; a number is that of every unit.
      visible: what a visible unit is: any finite space, or ``LINE`` for Gaussian units of variance
        1 given the hidden layer.
      hidden: what a hidden unit is: a finite space of numbers, or ``LINE``.

    Raises:
      ShapeError: weights or biases have other shapes.
      SpaceError: a visible unit is neither finite nor on ``LINE``, or a hidden one is a vector.

    >>> from physdl.networks import RBM
    >>> machine = RBM(jnp.array([[1.0, 0.0], [0.5, -1.0]]), hidden_bias=jnp.array([0.2, 0.0]))
    >>> v, h = jnp.array([1.0, 1.0]), jnp.array([1.0, 0.0])
    >>> round(float(machine.energy(v, h)), 6)  # -0.2 - 1 - 0.5
    -1.7
    >>> bool(jnp.isclose(machine(v), -jnp.log((1 + jnp.exp(1.7)) * (1 + jnp.exp(-1.0)))))
    True
    """

    weights: Float[Array, "n_visible *c n_hidden"]
    visible_bias: Float[Array, " n_visible *c"]
    hidden_bias: Float[Array, " n_hidden"]
    visible: Finite | Line = static(default=BINARY)
    hidden: Finite | Line = static(default=BINARY)

    def __init__(
        self,
        weights: ArrayLike,
        visible_bias: ArrayLike = 0.0,
        hidden_bias: ArrayLike = 0.0,
        visible: Finite | Line = BINARY,
        hidden: Finite | Line = BINARY,
    ):
        require_layers(visible, hidden)
        w = jnp.asarray(weights, dtype=float)
        need = ("n_visible", *map(str, visible.event_shape), "n_hidden")
        if w.ndim != len(need) or w.shape[1:-1] != visible.event_shape or 0 in w.shape:
            raise ShapeError(
                f"weights of visible units {visible!r} have shape [{', '.join(need)}], "
                f"got {w.shape}."
            )
        object.__setattr__(self, "weights", w)
        layers = {"visible": (visible_bias, w.shape[:-1]), "hidden": (hidden_bias, w.shape[-1:])}
        for name, (bias, shape) in layers.items():
            b = jnp.asarray(bias, dtype=w.dtype)
            if b.shape not in ((), shape):
                raise ShapeError(f"the {name} bias has shape () or {shape}, got {b.shape}.")
            object.__setattr__(self, f"{name}_bias", jnp.broadcast_to(b, shape))
        object.__setattr__(self, "visible", visible)
        object.__setattr__(self, "hidden", hidden)

    @classmethod
    def initial(
        cls,
        n_visible: int,
        n_hidden: int,
        *,
        visible: Finite | Line = BINARY,
        hidden: Finite | Line = BINARY,
        scale: float = 0.01,
        data: ArrayLike | None = None,
        key: Key[Array, ""],
    ) -> "RBM":
        """A machine to train: normal weights of standard deviation ``scale``, no hidden bias.

        With ``data``, [n, n_visible] or [n, n_visible, c], the visible biases are those under which
        independent units have the means of the data and of one more observation, spread evenly over
        the states: (n mean + mean of states) / (n + 1), so that no unit is frozen.

        Raises:
          SettingError: a number of units is below 1, or the scale is negative.
          ShapeError: the data have another shape.
          SpaceError: as for the machine itself.

        >>> data = jnp.array([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
        >>> machine = RBM.initial(2, 3, data=data, key=jax.random.key(0))
        >>> [round(float(p), 3) for p in jax.nn.sigmoid(machine.visible_bias)]  # 3.5/4, 1.5/4
        [0.875, 0.375]
        """
        require_layers(visible, hidden)
        if min(n_visible, n_hidden) < 1 or not scale >= 0:
            raise SettingError(
                f"a machine takes 1 unit or more a layer and a scale of 0 or more, got n_visible="
                f"{n_visible}, n_hidden={n_hidden}, scale={scale}."
            )
        layer = (n_visible, *visible.event_shape)
        weights = scale * random.normal(key, (*layer, n_hidden))
        if data is None:
            return cls(weights, visible=visible, hidden=hidden)
        v = jnp.asarray(data, dtype=float)
        if v.shape[1:] != layer or len(v) == 0:
            raise ShapeError(f"data have shape (n, {', '.join(map(str, layer))}), got {v.shape}.")
        return cls(weights, field_of(visible, v), visible=visible, hidden=hidden)

    @classmethod
    def of(cls, h: Hamiltonian) -> "RBM":
        """The machine of a joint Hamiltonian as ``models.rbm`` makes it.

        Raises:
          StructureError: the Hamiltonian is none of a machine with visible units of one component.

        >>> from physdl import models
        >>> RBM.of(models.rbm(jnp.ones((3, 2)), 0.5)).visible_bias.tolist()
        [0.5, 0.5, 0.5]
        """
        term = h.terms.get("weight")
        if not isinstance(term, Dense) or term.blocks is None:
            raise StructureError(f"no machine of models.rbm: no dense term 'weight' in {h!r}.")
        n, m = term.coefficient.shape
        biases = [h.terms.get(name, Sites(0.0, [[0]])) for name in ("visible", "hidden")]
        if term.blocks != (0, n) or h.shape != (n + m,) or h.space.event_shape != ():
            raise StructureError(f"no machine of models.rbm on scalar units: {h!r}.")
        first, second = h.space.at(0), h.space.at(n)
        assert isinstance(first, Finite | Line) and isinstance(second, Finite | Line)
        a, b = (-t.coefficient if isinstance(t, Sites) else 0.0 for t in biases)
        machine = cls(-term.coefficient, a, b, first, second)
        same = machine.hamiltonian
        if h.space != same.space or not all(
            name in same.terms and _same_structure(t, same.terms[name])
            for name, t in h.terms.items()
        ):
            raise StructureError(f"no machine of models.rbm: other terms in {h!r}.")
        return machine

    @property
    def n_visible(self) -> int:
        """The number of visible units."""
        return int(self.weights.shape[0])

    @property
    def n_hidden(self) -> int:
        """The number of hidden units."""
        return int(self.weights.shape[-1])

    def energy(
        self, v: Float[Array, " n_visible *c"], h: Float[Array, " n_hidden"]
    ) -> Float[Array, ""]:
        """E(v, h), in k_B T."""
        v, h = self._cast(v), self._cast(h)
        return -self._visible_own(v) - self._hidden_own(h) - jnp.vdot(v, self.weights @ h)

    def __call__(self, v: Float[Array, " n_visible *c"]) -> Float[Array, ""]:
        """The free energy F(v) of ``free_energy``."""
        return self.free_energy(v)

    def free_energy(self, v: Float[Array, " n_visible *c"]) -> Float[Array, ""]:
        """F(v) = -log sum_h exp(-E(v, h)), one configuration, in nats; ``jax.vmap`` for many."""
        sums = cumulant(self.hidden, self.hidden_fields(v))
        return -self._visible_own(self._cast(v)) - jnp.sum(sums)

    def hidden_free_energy(self, h: Float[Array, " n_hidden"]) -> Float[Array, ""]:
        """-log sum_v exp(-E(v, h)), in nats; on ``LINE`` the sum is an integral."""
        sums = cumulant(self.visible, self.visible_fields(h))
        return -self._hidden_own(self._cast(h)) - jnp.sum(sums)

    def hidden_fields(self, v: Float[Array, " n_visible *c"]) -> Float[Array, " n_hidden"]:
        """What the hidden units see: b + v W."""
        flat = self.weights.reshape(-1, self.n_hidden)
        return self.hidden_bias + self._cast(v).reshape(-1) @ flat

    def visible_fields(self, h: Float[Array, " n_hidden"]) -> Float[Array, " n_visible *c"]:
        """What the visible units see: a + W h."""
        return self.visible_bias + self.weights @ self._cast(h)

    def hidden_means(self, v: Float[Array, " n_visible *c"]) -> Float[Array, " n_hidden"]:
        """<h> given v."""
        return mean(self.hidden, self.hidden_fields(v))

    def visible_means(self, h: Float[Array, " n_hidden"]) -> Float[Array, " n_visible *c"]:
        """<v> given h."""
        return mean(self.visible, self.visible_fields(h))

    def sample_hidden(
        self, v: Float[Array, " n_visible *c"], *, key: Key[Array, ""]
    ) -> Float[Array, " n_hidden"]:
        """h drawn given v."""
        return drawn(self.hidden, self.hidden_fields(v), key=key)

    def sample_visible(
        self, h: Float[Array, " n_hidden"], *, key: Key[Array, ""]
    ) -> Float[Array, " n_visible *c"]:
        """v drawn given h."""
        return drawn(self.visible, self.visible_fields(h), key=key)

    @property
    def hamiltonian(self) -> Hamiltonian:
        """The joint Hamiltonian of ``models.rbm``, sites (v, h) in this order.

        Where visible units are vectors of c components, so are the sites of hidden units: the
        states s are the points (s, 0, ..., 0).
        """
        return joint(
            self.weights,
            self.visible_bias,
            self.hidden_bias,
            visible=self.visible,
            hidden=self.hidden,
        )

    @property
    def hidden_hamiltonian(self) -> Hamiltonian:
        r"""The hidden layer's own Hamiltonian where the visible one is Gaussian.

            H(h) = -b . h [+ |h|^2 / 2] - |a + W h|^2 / 2 - n_visible log(2 pi) / 2

        a model of pairs with couplings W^T W, whose log Z is that of the machine.

        Raises:
          SpaceError: the visible units are not on ``LINE``.

        >>> from physdl.spaces import LINE
        >>> machine = RBM(jnp.ones((3, 2)), 0.5, visible=LINE)
        >>> h = jnp.array([1.0, 0.0])
        >>> bool(jnp.isclose(machine.hidden_hamiltonian(h), machine.hidden_free_energy(h)))
        True
        """
        if not isinstance(self.visible, Line):
            raise SpaceError(
                f"the hidden layer has a Hamiltonian of pairs where the visible units are on LINE, "
                f"got {self.visible!r}: use hidden_free_energy."
            )
        return _pairs(self.hidden, self.hidden_bias, self.weights, self.visible_bias)

    @property
    def visible_hamiltonian(self) -> Hamiltonian:
        """The visible layer's own Hamiltonian where the hidden one is Gaussian: a Hopfield model.

        As ``hidden_hamiltonian``, with the layers exchanged.

        Raises:
          SpaceError: the hidden units are not on ``LINE``, or the visible ones are vectors.
        """
        if not isinstance(self.hidden, Line) or self.visible.event_shape:
            raise SpaceError(
                f"the visible layer has a Hamiltonian of pairs where the hidden units are on LINE "
                f"and the visible ones are numbers, got {self.hidden!r} and {self.visible!r}: use "
                f"free_energy."
            )
        return _pairs(self.visible, self.visible_bias, self.weights.T, self.hidden_bias)

    def _visible_own(self, v: Float[Array, " n_visible *c"]) -> Float[Array, ""]:
        return jnp.vdot(self.visible_bias, v) - _square(self.visible, v)

    def _hidden_own(self, h: Float[Array, " n_hidden"]) -> Float[Array, ""]:
        return jnp.vdot(self.hidden_bias, h) - _square(self.hidden, h)

    def _cast(self, s: Float[Array, "*layer"]) -> Float[Array, "*layer"]:
        return s.astype(self.weights.dtype)


def require_layers(visible: Finite | Line, hidden: Finite | Line) -> None:
    """Raise where units are on other spaces than a machine may have."""
    if not isinstance(visible, Finite | Line):
        raise SpaceError(f"visible units have a finite space or LINE, got {visible!r}.")
    if not isinstance(hidden, Finite | Line) or hidden.event_shape:
        raise SpaceError(f"hidden units have a finite space of numbers or LINE, got {hidden!r}.")


def cumulant(space: Finite | Line, field: Float[Array, " n *c"]) -> Float[Array, " n"]:
    """k(f) = log sum_s exp(f . s) of every unit; with the weight exp(-s^2 / 2) on ``LINE``."""
    if isinstance(space, Line):
        return field**2 / 2 + math.log(2 * math.pi) / 2
    if space.n_states == 2 and space.scalar:
        first, second = space.array[:, 0].tolist()
        total: Array = first * field + jax.nn.softplus((second - first) * field)
        return total
    sums: Array = jax.nn.logsumexp(_exponents(space, field), axis=1)
    return sums


def mean(space: Finite | Line, field: Float[Array, " n *c"]) -> Float[Array, " n *c"]:
    """<s> = k'(f) of every unit."""
    if isinstance(space, Line):
        return field
    if space.n_states == 2 and space.scalar:
        first, second = space.array[:, 0].tolist()
        means: Array = first + (second - first) * random.logistic((second - first) * field)
        return means
    p: Array = jax.nn.softmax(_exponents(space, field), axis=1)
    means = p @ jnp.asarray(space.array, field.dtype)
    return means.reshape(field.shape)


def drawn(
    space: Finite | Line, field: Float[Array, " n *c"], *, key: Key[Array, ""]
) -> Float[Array, " n *c"]:
    """A state of every unit, with probability proportional to exp(f . s)."""
    if isinstance(space, Line):
        return field + random.normal(key, field.shape, field.dtype)
    if space.n_states == 2 and space.scalar:
        first, second = space.array[:, 0].tolist()
        p = random.logistic((second - first) * field)
        return jnp.where(random.hashed(key, field.shape, field.dtype) < p, second, first).astype(
            field.dtype
        )
    label = random.categorical(key, _exponents(space, field))
    return random.chosen(jnp.asarray(space.array, field.dtype), label).reshape(field.shape)


def field_of(space: Finite | Line, data: Float[Array, "n_data n *c"]) -> Float[Array, " n *c"]:
    """The fields under which independent units have the means of data and of one observation more.

    On finite spaces -k(f) + f . m is maximised by Newton's method, with steps so short that it
    never overshoots (T. Sun and Q. Tran-Dinh, Math. Program. 178, 145 (2019)).
    """
    n_data = len(data)
    if isinstance(space, Line):
        return jnp.mean(data, axis=0)
    points = space.array
    centre = points.mean(axis=0)
    total = jnp.sum(data, axis=0).reshape(data.shape[1], -1)
    target = (total - jnp.asarray(n_data * centre, data.dtype)[None]) / (n_data + 1)
    states = jnp.asarray(points - centre, data.dtype)
    width = float(np.linalg.norm(points[:, None] - points[None], axis=-1).max())
    rank = np.linalg.matrix_rank(points - centre)
    idle = np.linalg.svd(points - centre)[2][rank:]  # directions that no state has
    idle_form = jnp.asarray(idle.T @ idle, data.dtype)

    def step(_: int, f: Array, m: Array) -> Array:
        p = jax.nn.softmax(states @ f)
        found = p @ states
        form = (states * p[:, None]).T @ states - jnp.outer(found, found) + idle_form
        move: Array = jnp.linalg.solve(form, m - found)
        size = width * jnp.linalg.norm(move)
        safe = jnp.where(size > 0, size, 1)
        part: Array = jnp.where(size > 0, jnp.log1p(safe) / safe, 1)
        return f + part * move

    def solved(m: Array) -> Array:
        start = jnp.zeros_like(m)
        field: Array = jax.lax.fori_loop(0, N_NEWTON, lambda i, f: step(i, f, m), start)
        return field

    fields: Array = jax.lax.map(solved, target)
    return fields.reshape(data.shape[1:])


def _exponents(space: Finite, field: Float[Array, " n *c"]) -> Float[Array, "n q"]:
    points = jnp.asarray(space.array, field.dtype)
    return field.reshape(len(field), -1) @ points.T


def _square(space: Finite | Line, s: Float[Array, "..."]) -> Float[Array, ""] | float:
    return jnp.sum(s**2) / 2 if isinstance(space, Line) else 0.0


def _same_structure(a: Term, b: Term) -> bool:
    """Whether two terms differ in their coefficients alone, and these where they are free."""
    if isinstance(a, Sites) and isinstance(b, Sites) and a.table.array.shape[-1] == 2:
        fixed = is_traced(a.coefficient) or bool(jnp.all(a.coefficient == b.coefficient))
        return a.table == b.table and fixed
    structures: list[object] = [jax.tree.structure(t) for t in (a, b)]
    return structures[0] == structures[1]


def _pairs(
    space: Finite | Line,
    bias: Float[Array, " m"],
    weights: Float[Array, "n m"],
    other: Float[Array, " n"],
) -> Hamiltonian:
    """The Hamiltonian of a layer that couples to n units on ``LINE``."""
    n, m = weights.shape
    sites = np.arange(m)[:, None]
    terms: dict[str, Term] = {
        "pair": Dense(-weights.T @ weights),
        "site": Sites(-bias - other @ weights, sites),
        "constant": Sites(-(jnp.vdot(other, other) + n * math.log(2 * math.pi)) / 2, [[]]),
    }
    if isinstance(space, Line):
        terms["square"] = Sites(0.5, np.repeat(sites, 2, axis=1))
    return Hamiltonian(terms, space=space, shape=(m,))
