r"""Multi-spin coding: 32 replicas of an Ising model in the bits of a word.

    H(x) = -sum_<ij> K_ij s_i s_j - sum_i h_i s_i,        |K_ij| = K,  |h_i| = h.

Where all couplings have one absolute value a spin flip costs 2 K m + 2 h f, where m is the number
of satisfied minus unsatisfied bonds and f = +-1: few values, so that flips of 32 replicas are
decided by a few logical instructions. Unsatisfied bonds are counted by bit-sliced adders, and for
each cost a word of random decisions is made by a chain of one instruction per binary digit of its
probability (see ``_packed_bits``). Sites of one colour of the lattice are updated at once.

Convention: a probability is rounded to a multiple of 2^-n_bits. With 24 bits the error is at most
3e-8; a cost whose probability is below 2^-25 is never paid, so at low temperature n_bits is to be
raised (K above 2.2 on the square lattice, where exp(-8 K) is that small).

Consequence: one core attempts about ten flips per nanosecond, a hundred times what an update spin
by spin does, and the replicas are independent. Metropolis accepts every flip without a cost with
certainty, so at K = 0 it is periodic: use the heat bath there.

Sources: M. Creutz, L. Jacobs, C. Rebbi, Phys. Rev. Lett. 42, 1390 (1979); G. Bhanot, D. Duke,
R. Salvador, J. Stat. Phys. 44, 985 (1986) (decisions bit by bit).
"""

import functools
import operator
from typing import TypeAlias

import jax
from jaxtyping import Array, Float, Key, UInt32

from physdl.bibliography import cites
from physdl.errors import SettingError, ShapeError
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import module, static
from physdl.sampling import _packed_bits as bits
from physdl.sampling import _random as random
from physdl.sampling._kernel import Info
from physdl.sampling._packed_model import model_of, signs_of
from physdl.sampling._packed_rule import Rule

__all__ = ["PackedIsing"]

State: TypeAlias = tuple[UInt32[Array, "..."], ...]
RULES = ("metropolis", "heat_bath")


@cites("creutz1979")
@module
class PackedIsing:
    """Ising models of one coupling strength, 32 replicas in a word.

    A state is one array of words per colour of the lattice. Couplings and fields are data, and may
    be traced: K is their largest absolute value, and ``info["unequal"]`` the fraction that has
    another one (it must be 0: what is sampled otherwise is the model with couplings +-K).

    Attributes:
      n_words: words of a site; there are 32 n_words replicas.
      n_bits: random bits of a decision, 1 to 32: probabilities are multiples of 2^-n_bits.
      rule: ``"metropolis"``, min(1, exp(-dH)), or ``"heat_bath"``, 1 / (1 + exp(dH)).
      n_sweeps: sweeps of one call. A loop over calls in Python finds thresholds and signs again
        in each, and should make many; inside ``lax.scan`` XLA moves them out of the loop.

    Raises:
      SettingError: a setting outside its range.
      SpaceError: the space is not ``SPIN``.
      StructureError: the terms are not one of pairs and at most one field, on all sites; a site has
        more than 16 neighbours; couplings with known values differ in absolute value.

    >>> import jax.numpy as jnp
    >>> from physdl import lattices, models
    >>> h = models.ising(lattices.square(64, 64), 0.3)
    >>> kernel = PackedIsing(n_sweeps=20)
    >>> state = kernel.init(h, jnp.ones((32, 64, 64)))
    >>> state, info = jax.jit(kernel)(h, state, key=jax.random.key(0))
    >>> energy = jax.vmap(h)(kernel.configurations(h, state))  # on average -0.2113 per spin
    >>> energy.shape, bool(jnp.abs(jnp.mean(energy) / 64**2 + 0.2113) < 0.003)
    ((32,), True)
    """

    n_words: int = static(default=1)
    n_bits: int = static(default=24)
    rule: str = static(default="metropolis")
    n_sweeps: int = static(default=1)

    def __post_init__(self) -> None:
        for name, most in (("n_words", 2**20), ("n_bits", 32), ("n_sweeps", 2**20)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise SettingError(f"{name} is an integer from 1 to {most}, got {value!r}.")
        if self.rule not in RULES:
            raise SettingError(f"rule is one of {', '.join(map(repr, RULES))}, got {self.rule!r}.")

    @property
    def n_replicas(self) -> int:
        """Replicas of a state: 32 in a word."""
        return bits.N_LANES * self.n_words

    def check(self, h: Hamiltonian) -> None:
        """Raise when ``h`` is not of this kind, as far as its values are known."""
        model_of(h).check()

    def init(
        self, h: Hamiltonian, x: Float[Array, "n ..."], *, key: Key[Array, ""] | None = None
    ) -> State:
        """The words of ``n_replicas`` configurations; ``key`` is not used."""
        del key
        model = model_of(h)
        model.check()
        if x.shape != (self.n_replicas, *h.state_shape):
            raise ShapeError(
                f"{self.n_words} words hold {self.n_replicas} configurations of shape "
                f"{h.state_shape}, got an array of shape {x.shape}."
            )
        return model.layout.split(bits.pack(x.reshape(self.n_replicas, -1)))

    def configurations(self, h: Hamiltonian, state: State) -> Float[Array, "n ..."]:
        """The spins of every replica, [n_replicas, *h.state_shape]."""
        packed = model_of(h).layout.joined(state, self.n_words)
        return bits.unpack(packed, h.dtype).reshape(self.n_replicas, *h.state_shape)

    def __call__(self, h: Hamiltonian, state: State, *, key: Key[Array, ""]) -> tuple[State, Info]:
        """``n_sweeps`` sweeps, each through all colours."""
        model = model_of(h)
        model.check()
        layout, w = model.layout, self.n_words
        rule = Rule.of(model, self.rule, self.n_bits)
        signs = signs_of(model, w)
        seeds = random.bits(key, (self.n_sweeps, layout.n_colours, 4))

        def sweep(i: Array | int, state: State) -> State:
            parts, exposed = list(state), [layout.exposed(part, w) for part in state]
            for c in range(layout.n_colours):
                near = layout.neighbours(exposed, c, w)
                stream = bits.words(seeds[i, c], parts[c].shape, self.n_bits)
                parts[c] = parts[c] ^ rule.flips(parts[c], near, signs.masks(c), stream)
                exposed[c] = layout.exposed(parts[c], w)
            return tuple(parts)

        state = jax.lax.fori_loop(0, self.n_sweeps, sweep, state)
        return state, {"unequal": model.unequal()}

    def energy(self, h: Hamiltonian, state: State) -> Float[Array, " n"]:
        """H of every replica, by counting unsatisfied bonds in packed form."""
        model = model_of(h)
        layout, w, signs = model.layout, self.n_words, signs_of(model, self.n_words)
        exposed = [layout.exposed(part, w) for part in state]
        unsatisfied, against = [], []
        for c, own in enumerate(state):
            masks = signs.masks(c)
            near = layout.neighbours(exposed, c, w)
            digits = bits.added([own ^ x ^ m for x, m in zip(near, masks, strict=False)])
            unsatisfied.append(bits.column_sums(digits, w))
            if model.field is not None:
                against.append(bits.column_sums([own ^ masks[-1]], w))
        k, f = model.strength()
        ties = 0 if layout.ties is None else int(layout.ties[1].sum())
        total = functools.reduce(operator.add, unsatisfied)  # each bond is seen from both ends
        energy = k * (total - ties - layout.n_bonds).astype(h.dtype)
        if against:
            wrong = functools.reduce(operator.add, against)
            energy = energy + f * (2 * wrong - h.n_sites).astype(h.dtype)
        return energy

    def magnetisation(self, h: Hamiltonian, state: State) -> Float[Array, " n"]:
        """The sum of the spins of every replica."""
        sums = [bits.column_sums([part], self.n_words) for part in state]
        return (2 * functools.reduce(operator.add, sums) - h.n_sites).astype(h.dtype)
