"""The audit against sums of plain numbers, published constants, and other routes of the package."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracle
import pytest

from physdl import lattices, models, rg, sampling
from physdl.errors import (
    LatticeError,
    SettingError,
    ShapeError,
    SpaceError,
    StructureError,
    SupportError,
    TooLargeError,
)
from physdl.estimators import Enumeration
from physdl.hamiltonian import Hamiltonian
from physdl.learning import train
from physdl.pytree import Table, module
from physdl.spaces import BINARY, SPIN, potts, spin
from physdl.theory import audit

KEPT = {0.1: 0.5049665310762763, 0.5: 0.604215788626608, 1.0: 0.759584649558788}
STATES = {n: oracle.all_states([[[-1], [1]]] * n)[:, :, 0] for n in (6,)}
CASCADE = [0.662501374, 0.350061139, 0.113672067, 0.012811542, 1.64118e-4]


def rbm(seed=0, n_visible=4, n_hidden=3):
    rng = np.random.default_rng(seed)
    return models.rbm(
        jnp.asarray(rng.normal(size=(n_visible, n_hidden))),
        jnp.asarray(rng.normal(size=n_visible)),
        jnp.asarray(rng.normal(size=n_hidden)),
    )


def divergence(log_p, log_q):
    """KL(p || q) of unnormalised logarithms, by plain sums."""
    p, q = np.exp(log_p), np.exp(log_q)
    p, q = p / p.sum(), q / q.sum()
    return float(np.sum(p * np.log(p / q)))


def information_of(joint):
    """I(x; y) from entropies, a formula the package does not use."""
    entropy = lambda p: -float(np.sum(p[p > 0] * np.log(p[p > 0])))
    return entropy(joint.sum(1)) + entropy(joint.sum(0)) - entropy(joint.reshape(-1))


@module
class Forgotten:
    """Minus the information that a soft rule of two spins keeps, for gradients in its weights."""

    h: Hamiltonian

    def kept(self, w):
        x = jnp.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
        kernel = jax.nn.log_sigmoid(jnp.stack([-x @ w, x @ w], axis=1))
        return audit.information_kept(self.h, kernel, block=[2, 3], environment=[0, 5])

    def __call__(self, w, key):
        return -self.kept(w).coarse


class TestTables:
    @pytest.mark.parametrize("space", [SPIN, spin(1), potts(3)], ids=repr)
    def test_energies_in_order(self, space):
        rng = np.random.default_rng(1)
        sizes = (space.n_states,) * 3
        h = audit.hamiltonian_of(rng.normal(size=np.prod(sizes)), (3,), space=space)
        states = oracle.all_states([space.points] * 3)
        direct = [float(h(jnp.asarray(s.reshape(h.state_shape)))) for s in states]
        np.testing.assert_allclose(audit.energy_table(h), direct, atol=1e-14)
        np.testing.assert_allclose(
            audit.energy_table(h.expand()), audit.energy_table(h), atol=1e-12
        )

    def test_joint_of_scattered_visible_sites(self):
        h = models.edwards_anderson(lattices.chain(5), 1.0, 0.3, seed=3)
        joint = np.asarray(audit.joint_table(h, [3, 0]))
        for (v3, v0), rest in itertools.product(
            itertools.product((-1, 1), repeat=2), itertools.product((-1, 1), repeat=3)
        ):
            x = jnp.array([v0, rest[0], rest[1], v3, rest[2]])
            row, column = (v3 + 1) + (v0 + 1) // 2, int("".join(str((r + 1) // 2) for r in rest), 2)
            assert joint[row, column] == pytest.approx(float(h(x)), abs=1e-14)

    def test_mixed_spaces(self):
        machine = models.rbm(jnp.ones((2, 1)), visible=SPIN, hidden=BINARY)
        joint = audit.joint_table(machine, [0, 1])
        np.testing.assert_allclose(joint, [[0, 2], [0, 0], [0, 0], [0, -2]], atol=1e-15)

    def test_refusals(self):
        with pytest.raises(TooLargeError, match="more than 2\\^24"):
            audit.energy_table(models.ising(lattices.chain(25), 0.1))
        with pytest.raises(SpaceError):
            audit.energy_table(models.gaussian(lattices.chain(3), r=1.0))
        with pytest.raises(SupportError, match="distinct"):
            audit.joint_table(rbm(), [0, 0])
        with pytest.raises(ShapeError, match="vector"):
            audit.energy_table(jnp.ones((2, 2)))
        with pytest.raises(ShapeError, match="8 configurations"):
            audit.hamiltonian_of(jnp.ones(4), (3,))


class TestIdentity:
    @pytest.mark.parametrize("seed", range(4))
    def test_mehta_schwab_holds_for_every_machine(self, seed):
        """H_RG = H_RBM for random weights and a unrelated H; marginals by ``marginalise``."""
        machine, h = rbm(seed), jnp.asarray(np.random.default_rng(50 + seed).normal(size=16))
        t = audit.mehta_schwab(machine, h, visible=range(4))
        hidden = audit.energy_table(machine.marginalise(range(4)))
        np.testing.assert_allclose(audit.coarse_hamiltonian(t, h), hidden, atol=1e-12)
        assert audit.jensen_gap(t, h) > 0.01

    def test_it_is_no_matter_of_restriction(self):
        """A machine with fields and with couplings within its layers."""
        h = models.edwards_anderson(lattices.complete(6), 1.0, 0.2, seed=1)
        target = jnp.linspace(-1.0, 2.0, 8)
        t = audit.mehta_schwab(h, target, visible=[0, 2, 4])
        np.testing.assert_allclose(
            audit.coarse_hamiltonian(t, target),
            audit.energy_table(h.marginalise([0, 2, 4])),
            atol=1e-12,
        )

    def test_trace_is_the_conditional(self):
        """e^T = p(h | v) e^{H - H_RBM(v)} (Eq. 22)."""
        machine, h = rbm(5), jnp.linspace(0.0, 1.0, 16)
        t = audit.mehta_schwab(machine, h, visible=range(4))
        visible = audit.energy_table(machine.marginalise(range(4, 7)))
        np.testing.assert_allclose(audit.trace_condition(t).log_trace, h - visible, atol=1e-12)
        exact = audit.mehta_schwab(machine, visible, visible=range(4))
        report = audit.audit(exact, visible)
        assert report.is_renormalization and report.residual < 1e-12

    def test_energies_as_a_matrix(self):
        machine, h = rbm(6), jnp.linspace(0.0, 1.0, 16)
        table = audit.joint_table(machine, range(4))
        np.testing.assert_array_equal(
            audit.mehta_schwab(table, h), audit.mehta_schwab(machine, h, visible=range(4))
        )
        with pytest.raises(SettingError, match="visible sites"):
            audit.mehta_schwab(machine, h)
        with pytest.raises(ShapeError, match=r"\[16, n_h\]"):
            audit.mehta_schwab(table[:4], h)


class TestJensenGap:
    @pytest.mark.parametrize("seed", range(5))
    def test_it_is_the_divergence(self, seed):
        """KL(P || p_lambda) and Z_lambda / Z by plain sums over a random machine."""
        machine, h = rbm(seed), np.random.default_rng(seed).normal(size=16)
        t = np.asarray(audit.mehta_schwab(machine, h, visible=range(4)))
        weights = np.exp(t - h[:, None])
        marginal = np.log(weights.sum(1))
        assert audit.jensen_gap(t, h) == pytest.approx(divergence(-h, marginal), abs=1e-12)
        p = np.exp(-h) / np.exp(-h).sum()
        mean = np.sum(p * np.exp(t).sum(1))
        assert mean == pytest.approx(weights.sum() / np.exp(-h).sum(), rel=1e-12)
        energies = audit.free_energy_preserving(t, h)
        assert float(energies.difference) == pytest.approx(np.log(mean), abs=1e-12)
        z = Enumeration()(machine).log_z
        assert float(energies.log_z_coarse) == pytest.approx(float(z), abs=1e-12)

    def test_a_constant_shifts_the_free_energy_only(self):
        t = audit.mehta_schwab(rbm(), jnp.linspace(0.0, 2.0, 16), visible=range(4))
        h = jnp.linspace(0.0, 2.0, 16)
        shift = audit.free_energy_preserving(t, h).difference
        fixed = audit.audit(t - shift, h)
        assert fixed.preserves_free_energy and not fixed.is_exact
        assert audit.jensen_gap(t - shift, h) == pytest.approx(
            float(audit.jensen_gap(t, h)), abs=1e-12
        )

    def test_forbidden_configurations(self):
        h = jnp.array([0.0, jnp.inf, 1.0])
        t = jnp.log(jnp.array([[0.5, 0.5], [3.0, 4.0], [0.25, 0.75]]))
        assert audit.jensen_gap(t, h) == pytest.approx(0.0, abs=1e-14)
        lost = t.at[0].set(-jnp.inf)
        assert audit.jensen_gap(lost, h) == jnp.inf

    def test_it_is_differentiable(self):
        h, machine = jnp.linspace(0.0, 1.0, 16), rbm()

        def gap(w):
            return audit.jensen_gap(audit.mehta_schwab(w * machine, h, visible=range(4)), h)

        step = 1e-5
        slope = (gap(1.0 + step) - gap(1.0 - step)) / (2 * step)
        assert jax.grad(gap)(1.0) == pytest.approx(float(slope), rel=1e-7)

    def sampled(self, key):
        """The gap between two rings of eight from cluster chains, and the exact one."""
        h, other = models.ising(lattices.chain(8), 0.5), models.ising(lattices.chain(8), 0.3)
        exact = audit.jensen_gap((audit.energy_table(h) - audit.energy_table(other))[:, None], h)
        run = sampling.run(
            sampling.SwendsenWang(), h, key=key, n_sweeps=2000, n_kept=2000, n_chains=4
        )
        return audit.sampled_jensen_gap(lambda v: h(v) - other(v) + 3.0, run.ensemble), exact

    def test_sampled(self):
        found, exact = self.sampled(jax.random.key(2))
        assert found.stderr < 0.02
        assert abs(found.value - exact) < 4 * found.stderr

    @pytest.mark.slow
    def test_its_error_is_that_of_repetitions(self):
        """Sixteen runs: their spread has a relative error of 0.18."""
        runs = [self.sampled(jax.random.key(k))[0] for k in range(10, 26)]
        spread = np.std([r.value for r in runs], ddof=1)
        assert 0.5 < spread / np.mean([r.stderr for r in runs]) < 1.7

    def test_shapes(self):
        with pytest.raises(ShapeError, match="rows does not fit"):
            audit.jensen_gap(jnp.zeros((3, 2)), jnp.zeros(4))
        with pytest.raises(ShapeError, match="matrix"):
            audit.trace_condition(jnp.zeros(3))


class TestCounterexamples:
    @pytest.mark.parametrize("seed", range(4))
    def test_equal_free_energies_another_distribution(self, seed):
        rng = np.random.default_rng(seed)
        h, k = rng.normal(size=16), rng.normal(size=16)
        t = np.asarray(audit.lin_tegmark(h, k))
        z, z_tilde = np.exp(-h).sum(), np.exp(-h - k).sum()
        joint = h[:, None] + h[None, :] + k[:, None] + np.log(z_tilde)
        np.testing.assert_allclose(t, h[:, None] - joint, atol=1e-13)
        assert np.exp(-joint).sum() / z == pytest.approx(1, abs=1e-14)
        report = audit.audit(t, h)
        assert report.preserves_free_energy and not report.is_exact
        assert not report.is_informative and not report.is_renormalization
        p = np.exp(-h) / z
        assert float(report.jensen_gap) == pytest.approx(
            np.sum(p * k) + np.log(z_tilde / z), abs=1e-13
        )
        assert float(report.jensen_gap) == pytest.approx(divergence(-h, -h - k), abs=1e-13)
        trace = np.exp(audit.trace_condition(t).log_trace)
        np.testing.assert_allclose(trace, z * np.exp(-k) / z_tilde, rtol=1e-13)
        np.testing.assert_allclose(audit.coarse_hamiltonian(t, h), h, atol=1e-13)

    def test_constant_k_is_refused(self):
        with pytest.raises(SettingError, match="varies"):
            audit.lin_tegmark(jnp.arange(4.0), jnp.ones(4))
        with pytest.raises(ShapeError, match="K has one number"):
            audit.lin_tegmark(jnp.arange(4.0), jnp.ones(3))

    def test_a_cat_in_a_thermal_bath(self):
        """R = 0 for every v, H_RG is H' up to ln(Z' / Z), and h knows nothing."""
        rng = np.random.default_rng(3)
        cat, dog = rng.normal(size=8), rng.normal(size=16)
        t = audit.noninteracting(8, dog)
        assert audit.trace_condition(t).residual < 1e-14
        log_ratio = np.log(np.exp(-dog).sum() / np.exp(-cat).sum())
        np.testing.assert_allclose(audit.coarse_hamiltonian(t, cat), dog + log_ratio, atol=1e-13)
        report = audit.audit(t, cat)
        assert report.is_exact and report.preserves_free_energy
        assert not report.is_informative and not report.is_renormalization
        assert "know nothing" in report.verdict
        with pytest.raises(SettingError):
            audit.noninteracting(0, dog)


class TestBlockKernels:
    def test_majority_counts_draws_of_the_map(self):
        """Frequencies of the keyed map itself, 4000 draws, within five standard errors."""
        x = jnp.array([[1, -1, 1, 1], [-1, 1, 1, -1], [-1, -1, 1, -1], [-1, 1, 1, -1.0]])
        number = int("".join("1" if s > 0 else "0" for s in x.reshape(-1)), 2)
        row = np.exp(audit.block_kernel(rg.Majority(2), (4, 4))[number])
        keys = jax.random.split(jax.random.key(0), 4000)
        drawn = jax.vmap(lambda k: rg.Majority(2)(x, key=k))(keys).reshape(4000, 4)
        labels = (np.asarray(drawn) > 0) @ np.array([8, 4, 2, 1])
        seen = np.bincount(labels, minlength=16) / 4000
        assert np.all(np.abs(seen - row) <= 5 * np.sqrt(row * (1 - row) / 4000))
        assert np.sum(row > 0) == 4

    def test_plurality(self):
        kernel = np.exp(audit.block_kernel(rg.Majority(2, potts(3)), (2,), space=potts(3)))
        np.testing.assert_allclose(kernel[1], [0.5, 0.5, 0.0])
        np.testing.assert_allclose(kernel[8], [0.0, 0.0, 1.0])

    @pytest.mark.parametrize("site", [0, 1])
    def test_decimation_is_marginalising(self, site):
        ring = models.ising(lattices.chain(8), 0.7, 0.2)
        kernel = audit.block_kernel(rg.BlockDecimation(2, site), (8,))
        rest = ring.marginalise(range(1 - site, 8, 2))
        np.testing.assert_allclose(
            audit.coarse_hamiltonian(kernel, ring), audit.energy_table(rest), atol=1e-12
        )

    def test_a_rule_of_ones_own(self):
        soft = lambda x: jax.nn.softmax(
            jnp.stack([-x.reshape(-1, 2).sum(1), x.reshape(-1, 2).sum(1)], axis=1), axis=1
        )
        kernel = audit.block_kernel(soft, (4,))
        assert kernel.shape == (16, 4) and audit.trace_condition(kernel).residual < 1e-14
        up = 1 / (1 + np.exp(-4))
        np.testing.assert_allclose(np.exp(kernel[15, 3]), up**2, rtol=1e-13)

    def test_refusals(self):
        with pytest.raises(StructureError, match="BlockAverage"):
            audit.block_kernel(rg.BlockAverage(2), (4,))
        with pytest.raises(SpaceError):
            audit.block_kernel(rg.Majority(2), (4,), space=potts(3))
        with pytest.raises(TooLargeError):
            audit.block_kernel(rg.Majority(2), (20,))
        with pytest.raises(ShapeError, match="n_blocks"):
            audit.block_kernel(lambda x: x, (4,))
        with pytest.raises(ShapeError, match="no site"):
            audit.block_kernel(rg.BlockDecimation(2, 2), (4,))


class TestLocality:
    def test_cascade_of_decimations(self):
        """From K = 1: tanh K' = tanh^2 K, read off the coarse Hamiltonian of a ring of eight."""
        kernel, k, found = audit.block_kernel(rg.BlockDecimation(2), (8,)), 1.0, []
        for _ in CASCADE:
            coarse = audit.coarse_hamiltonian(kernel, models.ising(lattices.chain(8), k))
            local = audit.locality(coarse, lattices.chain(4))
            assert abs(local.rangeness) < 1e-12 and abs(local.m_bodyness) < 1e-11
            k = float(local.coupling[2, 1])
            found.append(k)
        np.testing.assert_allclose(found, CASCADE, atol=6e-10)

    def test_majority_makes_range_and_bodies(self):
        """The coefficients of the majority rule on a ring, by Walsh's definition."""
        h = models.ising(lattices.chain(12), 0.8)
        coarse = audit.coarse_hamiltonian(audit.block_kernel(rg.Majority(2), (12,)), h)
        local = audit.locality(coarse, lattices.chain(6))
        states = oracle.all_states([[[-1], [1]]] * 6)[:, :, 0]
        coupling = lambda *sites: -np.mean(np.asarray(coarse) * np.prod(states[:, sites], axis=1))
        ratio = coupling(0, 2) / coupling(0, 1)
        assert float(local.rangeness) == pytest.approx(ratio, rel=1e-10)
        assert float(local.m_bodyness) == pytest.approx(
            coupling(0, 1, 2, 3) / coupling(0, 1), rel=1e-10
        )
        assert abs(ratio) > 1e-3 and abs(local.m_bodyness) > 1e-4
        assert float(local.by_bodies.sum()) == pytest.approx(1, abs=1e-12)
        assert float(local.by_diameter.sum()) == pytest.approx(1, abs=1e-12)
        assert np.all(np.abs(local.weight[1::2]) < 1e-11)

    def test_agrees_with_expand(self):
        lattice = lattices.square(3, 3, periodic=False)
        table = jnp.asarray(np.random.default_rng(0).normal(size=512))
        local = audit.locality(table, lattice)
        for degree in range(1, 10):
            term = audit.hamiltonian_of(table, (9,)).expand().terms[f"degree_{degree}"]
            assert float(local.weight[degree].sum()) == pytest.approx(
                float(jnp.abs(term.coefficient).sum()), rel=1e-12
            )
        assert float(local.weight[0].sum()) == 0
        pair = np.abs(np.linalg.norm(lattice.positions[:, None] - lattice.positions, axis=-1) - 1)
        assert np.isnan(local.coupling[2, 0]) and (pair < 1e-9).sum() == 24

    def test_refusals(self):
        with pytest.raises(ShapeError, match="16 configurations"):
            audit.locality(jnp.zeros(8), lattices.chain(4))
        with pytest.raises(LatticeError, match="connected"):
            audit.locality(
                jnp.zeros(16), lattices.Lattice(4, Table([[0, 1], [2, 3]]), dim=0, shape=(4,))
            )
        small = audit.locality(jnp.array([0.0, 1.0, 1.0, 0.0]), lattices.chain(2))
        assert np.isnan(small.rangeness) and np.isnan(small.m_bodyness)


class TestInformation:
    @pytest.mark.parametrize("k", KEPT)
    def test_share_of_decimation(self, k):
        """Reference numbers of the infinite chain, one-site buffer; and entropies by plain sums."""
        chain = models.ising(lattices.chain(6, periodic=False), k)
        kernel = audit.block_kernel(rg.BlockDecimation(2), (2,))
        kept = audit.information_kept(chain, kernel, block=[2, 3], environment=[0, 5])
        assert float(kept.share) == pytest.approx(KEPT[k], rel=1e-10)
        p = np.exp(k * np.sum(STATES[6][:, 1:] * STATES[6][:, :-1], axis=1)).reshape((2,) * 6)
        p = (p / p.sum()).sum(axis=(1, 4)).transpose(1, 2, 0, 3).reshape(4, 4)
        assert float(kept.fine) == pytest.approx(information_of(p), abs=1e-13)
        coarse = p.reshape(2, 2, 4).sum(1)
        assert float(kept.coarse) == pytest.approx(information_of(coarse), abs=1e-13)

    @pytest.mark.parametrize("k", [0.1, 0.5, 1.0])
    def test_decimation_keeps_most(self, k):
        """Of all rules of two spins with two outcomes, deterministic or the majority."""
        chain = models.ising(lattices.chain(6, periodic=False), k)
        share = lambda t: float(
            audit.information_kept(chain, t, block=[2, 3], environment=[0, 5]).share
        )
        best = share(audit.block_kernel(rg.BlockDecimation(2), (2,)))
        rules = [jnp.log(jnp.eye(2)[jnp.array(r)]) for r in itertools.product((0, 1), repeat=4)]
        others = [share(t) for t in rules] + [share(audit.block_kernel(rg.Majority(2), (2,)))]
        assert max(others) == pytest.approx(best, rel=1e-12)
        assert min(others) == pytest.approx(0.0, abs=1e-12)

    def test_everything_is_kept_by_the_identity(self):
        h = models.ising(lattices.square(3, 3, periodic=False), 0.4)
        identity = jnp.log(jnp.eye(4))
        kept = audit.information_kept(h, identity, block=[4, 0], environment=[8])
        assert float(kept.share) == pytest.approx(1.0, rel=1e-12)

    def test_without_buffer(self):
        h = models.ising(lattices.chain(4, periodic=False), 0.6)
        kernel = audit.block_kernel(rg.Majority(2), (2,))
        kept = audit.information_kept(h, kernel, block=[1, 2], environment=[0, 3])
        assert 0 < kept.coarse < kept.fine

    def test_order_of_the_block(self):
        """In a chain of unequal bonds the two sites of a block know different things."""
        bonds = jnp.array([0.2, 0.9, 0.4, 0.3, 0.7])
        chain = models.ising(lattices.chain(6, periodic=False), bonds)
        first, second = (audit.block_kernel(rg.BlockDecimation(2, i), (2,)) for i in (0, 1))
        share = lambda t, block: float(
            audit.information_kept(chain, t, block=block, environment=[0, 5]).share
        )
        assert share(first, [2, 3]) == pytest.approx(share(second, [3, 2]), rel=1e-13)
        assert abs(share(first, [2, 3]) - share(second, [2, 3])) > 0.05

    def test_a_rule_learned_from_information_is_decimation(self):
        """Its weights grow without bound; in the limit it is the sign of one spin."""
        chain = models.ising(lattices.chain(6, periodic=False), 0.5)
        found = train(
            Forgotten(chain),
            jnp.array([0.5, 0.3]),
            optimizer=optax.adam(0.1),
            n_steps=200,
            key=jax.random.key(0),
        )
        start, end = (
            float(Forgotten(chain).kept(w).share) for w in (jnp.array([0.5, 0.3]), found.result)
        )
        assert start < 0.5 * KEPT[0.5] < 0.99 * KEPT[0.5] < end < KEPT[0.5]
        hard = Forgotten(chain).kept(1e3 * found.result)
        assert float(hard.share) == pytest.approx(KEPT[0.5], rel=1e-10)

    def test_it_can_be_differentiated(self):
        """The gradient of the information in the rule, against a difference."""
        chain = models.ising(lattices.chain(6, periodic=False), 0.5)
        kept = lambda w: Forgotten(chain).kept(w).coarse
        w, e = jnp.array([0.7, 0.2]), jnp.array([1e-5, 0.0])
        slope = (kept(w + e) - kept(w - e)) / 2e-5
        assert jax.grad(kept)(w)[0] == pytest.approx(float(slope), rel=1e-6)

    def test_refusals(self):
        chain = models.ising(lattices.chain(6, periodic=False), 0.5)
        kernel = audit.block_kernel(rg.Majority(2), (2,))
        with pytest.raises(SupportError, match="share no site"):
            audit.information_kept(chain, kernel, block=[2, 3], environment=[3])
        with pytest.raises(SupportError, match="0 to 5"):
            audit.information_kept(chain, kernel, block=[2, 3], environment=[6])
        with pytest.raises(SettingError, match="subtract R"):
            audit.information_kept(chain, kernel + 1.0, block=[2, 3], environment=[0])
        with pytest.raises(ShapeError, match="4 rows"):
            audit.information_kept(chain, kernel, block=[2], environment=[0])


class TestVerdict:
    def test_majority_of_a_torus(self):
        """2 x 2 blocks on 4 x 4: exact by construction; log Z by another route."""
        h = models.ising(lattices.square(4, 4), 0.3)
        kernel = audit.block_kernel(rg.Majority(2), (4, 4))
        report = audit.audit(kernel, h, lattice=rg.Majority(2).lattice(lattices.square(4, 4)))
        assert report.is_renormalization and report.residual < 1e-14
        energies = audit.free_energy_preserving(kernel, h)
        assert float(energies.log_z_coarse) == pytest.approx(
            float(Enumeration()(h).log_z), rel=1e-13
        )
        coarse = np.asarray(audit.coarse_hamiltonian(kernel, h))
        states = oracle.all_states([[[-1], [1]]] * 4)[:, :, 0]
        pair, across, four = (
            -np.mean(coarse * np.prod(states[:, s], axis=1)) for s in ([0, 1], [0, 3], [0, 1, 2, 3])
        )
        assert float(report.locality.rangeness) == pytest.approx(across / pair, rel=1e-11)
        assert float(report.locality.m_bodyness) == pytest.approx(four / pair, rel=1e-10)
        assert report.information < 4 * np.log(2)
        assert "range" in report.verdict and "An exact step" in repr(report)

    def test_information_of_a_deterministic_rule_is_an_entropy(self):
        ring = models.ising(lattices.chain(8), 0.6)
        kernel = audit.block_kernel(rg.BlockDecimation(2), (8,))
        coarse = np.asarray(audit.coarse_hamiltonian(kernel, ring))
        p = np.exp(-coarse) / np.exp(-coarse).sum()
        report = audit.audit(kernel, ring)
        assert float(report.information) == pytest.approx(-np.sum(p * np.log(p)), abs=1e-12)

    def test_a_wrong_machine(self):
        h = models.ising(lattices.chain(4), 0.5)
        report = audit.audit(audit.mehta_schwab(rbm(), h, visible=range(4)), h)
        assert not report.is_renormalization and report.is_informative
        assert "violated" in report.verdict and "KL" in report.verdict

    def test_information_kept_is_reported(self):
        ring = models.ising(lattices.chain(8), 0.5)
        kernel = audit.block_kernel(rg.BlockDecimation(2), (8,))
        block = audit.block_kernel(rg.BlockDecimation(2), (2,))
        kept = audit.information_kept(ring, block, block=[2, 3], environment=[0, 5, 6, 7])
        assert "is kept" in audit.audit(kernel, ring, kept=kept).verdict

    def test_it_is_a_pytree(self):
        ring = models.ising(lattices.chain(4), 0.5)
        kernel = audit.block_kernel(rg.Majority(2), (4,))
        batch = jax.vmap(lambda b: audit.audit(kernel, b * ring, lattice=lattices.chain(2)))(
            jnp.linspace(0.5, 1.0, 3)
        )
        assert batch.jensen_gap.shape == (3,) and "Audit(" in repr(batch)

    def test_single_precision(self):
        ring = models.ising(lattices.chain(8), 0.5)
        kernel = audit.block_kernel(rg.Majority(2), (8,))
        single = lambda x: jax.tree.map(lambda a: a.astype(jnp.float32), x)
        gap = audit.jensen_gap(single(kernel), single(audit.energy_table(ring)))
        assert abs(gap) < 1e-5
