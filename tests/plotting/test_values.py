"""What stands on the axes is what was given."""

import jax
import jax.numpy as jnp
import numpy as np
from plotting import drawn

from physdl import estimators, lattices, learning, models, networks, plotting, rg, spaces
from physdl.plotting._axes import COLOURS


def new():
    return plotting.new_axes()


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def points(ax, marker):
    return [line for line in ax.lines if line.get_marker() == marker]


def test_estimates_are_where_they_are():
    ax = plotting.estimates(drawn.ESTIMATES, exact=10.0, n_sites=2, ax=new())
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["exact", "bounded", "below", "few [FEW]", "zero [ZERO]"]
    dots = [c.lines[0] for c in ax.containers]
    assert [float(d.get_xdata()[0]) for d in dots] == [5.0, 5.05, 4.95, 4.75]
    assert [d.get_markerfacecolor() for d in dots] == [COLOURS[0]] * 3 + ["none"]
    bars = [
        c.lines[2][0].get_segments()[0][:, 0].tolist() if c.has_xerr else None
        for c in ax.containers
    ]
    assert bars[0] is bars[2] is None
    assert np.allclose(bars[1], [5.025, 5.075]) and np.allclose(bars[3], [4.65, 4.85])
    assert [float(p.get_xdata()[0]) for p in points(ax, "$[$")] == [4.9, 4.85]
    assert [float(p.get_xdata()[0]) for p in points(ax, "$]$")] == [5.15]
    assert ax.get_xlabel() == r"$\ln Z / N$ (nats per site)" and legend_of(ax) == ["exact"]


def test_a_curve_of_free_energies_and_its_band():
    k = np.arange(5.0)
    ax = plotting.free_energy_curve(
        k, list(drawn.ESTIMATES.values()), exact=([0.0, 4.0], [8.0, 12.0]), name="test", ax=new()
    )
    exact, curve = ax.lines[0], ax.lines[1]
    assert exact.get_ydata().tolist() == [-2.0, -3.0]
    assert curve.get_ydata()[:4].tolist() == [-2.5, -2.525, -2.475, -2.375]
    band = ax.collections[0].get_paths()[0].vertices
    at_1 = sorted(set(band[np.isclose(band[:, 0], 1.0), 1].round(6)))
    assert at_1 == [-2.575, -2.45]
    assert legend_of(ax) == ["exact", "bounds", "test", "not OK"]


def test_a_batch_is_a_curve():
    ring, k = lattices.chain(4), jnp.linspace(0.0, 0.5, 3)
    found = jax.vmap(lambda k: estimators.Enumeration()(models.ising(ring, k)))(k)
    one, many = (
        plotting.free_energy_curve(k, rows, ax=new())
        for rows in (found, [estimators.Enumeration()(models.ising(ring, x)) for x in k])
    )
    assert np.allclose(one.lines[0].get_ydata(), many.lines[0].get_ydata(), rtol=1e-14)
    closed = np.log(2 * np.cosh(k)) + np.log1p(np.tanh(k) ** 4) / 4
    assert np.allclose(one.lines[0].get_ydata(), -closed, rtol=1e-13)


def test_a_flow_field_has_an_arrow_a_point_and_three_kinds_of_fixed_points():
    ax = plotting.flow_field(drawn.FIELD, ax=new())
    (arrows,) = ax.collections
    assert len(arrows.U) == 12
    across = np.stack([arrows.U / 1.0, arrows.V / 0.2], axis=-1)
    assert np.allclose(np.linalg.norm(across, axis=-1), 1.0)
    given = np.asarray(drawn.FIELD.arrows).reshape(-1, 2) / [1.0, 0.2]
    assert np.allclose(across, given / np.linalg.norm(given, axis=-1, keepdims=True))
    assert legend_of(ax) == ["critical surface", "stable", "one relevant", "two relevant"]
    line, stable, critical, unstable = ax.lines
    assert line.get_ydata().tolist() == [-0.1, 0.0, 0.1]
    assert line.get_xdata().tolist() == [0.4, 0.5, 0.6]
    assert (stable.get_xdata()[0], critical.get_xdata()[0], unstable.get_xdata()[0]) == (
        0,
        0.5,
        0.9,
    )
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$K_1$", "$K_2$")


def test_where_a_map_is_not_defined_there_is_no_arrow():
    field = drawn.FIELD
    hole = rg.FlowField(
        field.x,
        field.y,
        field.arrows.at[0, 0].set(jnp.nan),
        jnp.zeros((0, 2)),
        jnp.zeros((0, 2)),
        jnp.zeros((0, 2)),
    )
    ax = plotting.flow_field(hole, ax=new())
    assert np.sum(ax.collections[0].Umask) == 1 and ax.get_legend() is None


def test_a_flow_counts_its_steps():
    k = jnp.array([0.5])
    steps = rg.flow(rg.MigdalKadanoff(2, 1), k, 3)
    later, whole = plotting.flow(steps, ax=new()), plotting.flow(steps, start=k, ax=new())
    assert later.lines[0].get_xdata().tolist() == [1, 2, 3]
    assert whole.lines[0].get_xdata().tolist() == [0, 1, 2, 3]
    tanh = np.tanh(whole.lines[0].get_ydata())
    assert np.allclose(tanh, np.tanh(0.5) ** (2 ** np.arange(4)))
    assert legend_of(whole) == ["$K_{1}$"]


def test_a_flow_that_runs_away_is_drawn_on_a_logarithmic_axis():
    ax = plotting.flow([[1.0], [8.0], [64.0], [np.inf]], ["K"], ax=new())
    assert ax.get_yscale() == "symlog" and np.isnan(ax.lines[0].get_ydata()[-1])
    assert ax.get_ylim()[1] < 200


def test_couplings_of_a_tree_are_named_by_its_leaves():
    ax = plotting.flow({"K": np.zeros((2,)), "h": np.ones((2, 2))}, ax=new())
    assert legend_of(ax) == ["K", "h 1", "h 2"]


def test_collapse_sorts_data_by_size():
    ax = plotting.collapse(drawn.FIT, drawn.SIZES, ax=new())
    small, large = (c.lines[0] for c in ax.containers)
    assert np.allclose(small.get_xdata(), np.asarray(drawn.FIT.z)[:9])
    assert np.allclose(large.get_ydata(), np.asarray(drawn.FIT.scaled.value)[9:])
    listed = plotting.collapse(drawn.FIT, np.repeat(drawn.SIZES[:, 0], 9), ax=new())
    assert np.allclose(listed.containers[1].lines[0].get_xdata(), large.get_xdata())


def test_the_window_of_an_autocorrelation():
    ax = plotting.autocorrelation({"x": drawn.SERIES, "y": drawn.SERIES}, ax=new())
    rho = ax.lines[0]
    assert rho.get_xdata()[:3].tolist() == [0, 6, 12] and rho.get_ydata()[0] == 1.0
    sums = np.cumsum(rho.get_ydata()) - 0.5
    window = int(ax.lines[1].get_xdata()[0] / 6)
    assert window >= 5 * max(sums[window], 1)
    assert all(w < 5 * max(sums[w], 1) for w in range(window))
    assert ax.get_xlabel() == "$t$ (sweeps)"
    assert legend_of(ax)[0] == rf"x, $\tau = {float(drawn.SERIES.tau):.3g}$"


def test_tau_of_bare_draws_is_that_of_statistics():
    from physdl.statistics import autocorrelation_time

    walk = np.cumsum(drawn.NOISE, axis=1)
    ax = plotting.autocorrelation(walk - walk.mean(axis=1, keepdims=True), ax=new())
    tau = autocorrelation_time(walk - walk.mean(axis=1, keepdims=True)).value
    assert legend_of(ax) == [rf"$\tau = {float(tau):.3g}$"]


def test_a_trace_shows_all_chains_and_their_mean():
    ax = plotting.trace(drawn.SERIES, name="m", ax=new())
    assert len(ax.lines) == 4 and ax.get_xlim() == (0.0, 2400.0)
    assert np.allclose(ax.lines[2].get_ydata(), drawn.NOISE[2])
    assert ax.lines[3].get_ydata()[0] == float(drawn.SERIES.mean.value)


def test_canonical_distributions_are_normalised():
    ax = plotting.density_of_states(drawn.DENSITY, (0.0, 0.3), ax=new())
    right = ax.figure.axes[1]
    flat, cold = (line.get_ydata() for line in right.lines)
    assert np.allclose(flat, [2 / 16, 12 / 16, 2 / 16])
    weights = np.array([2 * np.exp(1.2), 12, 2 * np.exp(-1.2)])
    assert np.allclose(cold, weights / weights.sum())
    assert np.allclose(ax.lines[0].get_xdata(), [-4, 0, 4])


def test_spectra_are_relative_and_without_zeros():
    ax = plotting.spectrum([4.0, 1.0, 1e-20], ax=new())
    assert ax.lines[0].get_ydata().tolist() == [1.0, 0.25] and ax.get_yscale() == "log"
    steps = plotting.spectrum([[2.0, 1.0], [8.0, 2.0]], ax=new())
    assert [line.get_ydata().tolist() for line in steps.lines] == [[1.0, 1.0], [0.5, 0.25]]


def test_towers_by_spin_and_by_step():
    ax = plotting.conformal_tower(drawn.TOWER, (0, 1), ax=new())
    assert ax.lines[2].get_xdata().tolist() == [0.0, 0.0, -1.0]
    assert ax.lines[2].get_ydata().tolist() == [0.0, 0.125, 1.0]
    steps = plotting.conformal_tower([drawn.TOWER, drawn.TOWER], steps=(4, 6), ax=new())
    assert [line.get_xdata().tolist() for line in steps.lines] == [[4] * 3, [6] * 3]


def test_receptive_fields_are_tiled_and_centred():
    ax = plotting.receptive_fields(drawn.MACHINE, (2, 3), n_columns=3, ax=new())
    image = np.ma.filled(ax.images[0].get_array(), np.nan)
    weights = np.asarray(drawn.MACHINE.weights)
    assert image.shape == (5, 11)
    assert np.allclose(image[:2, 4:7], weights[:, 1].reshape(2, 3))
    assert np.allclose(image[3:, :3], weights[:, 3].reshape(2, 3))
    assert np.isnan(image[2]).all() and np.isnan(image[3:, 8:]).all()
    low, high = ax.images[0].get_clim()
    assert -low == high == np.abs(weights).max()


def test_losses_and_the_looks_of_a_monitor():
    ax = plotting.training(drawn.TRAINING, every=2, ax=new())
    right = ax.figure.axes[1]
    assert ax.get_yscale() == "log" and len(ax.lines) == len(right.lines) == 2
    assert np.isnan(ax.lines[0].get_ydata()[2])
    assert right.lines[0].get_xdata().tolist() == [2, 4, 5]


def test_losses_of_a_real_training():
    import optax

    found = learning.train(
        lambda p, key: jnp.sum((p - 1) ** 2) - 0.5,
        jnp.zeros(2),
        optimizer=optax.sgd(0.1),
        n_steps=5,
        key=jax.random.key(0),
    )
    ax = plotting.training(found, ax=new())
    assert np.allclose(ax.lines[0].get_ydata(), 2 * 0.64 ** np.arange(5) - 0.5)
    assert ax.get_yscale() == "linear" and len(ax.figure.axes) == 1


def test_costs_are_the_counts():
    h = models.ising(lattices.chain(3), 0.5)
    _, report = networks.compile_polynomial(h, tolerance=1e-6)
    for given in (report, {"network": report}):
        ax = plotting.network_cost(given, ax=new())
        assert [bar.get_width() for bar in ax.patches] == [report.neurons, report.synapses]
        assert ax.get_yticklabels()[0].get_text() == f"network\ndepth {report.depth}"


def test_couplings_and_exponents():
    ax = plotting.couplings(drawn.COUPLINGS, known={"diagonal": 0.2}, ax=new())
    assert [label.get_text() for label in ax.get_yticklabels()] == list(drawn.BASIS.names)
    (dots,) = ax.containers
    assert dots.lines[0].get_xdata().tolist() == [0.4, 0.1]
    assert np.allclose(dots.lines[2][0].get_segments()[1][:, 0], [-0.1, 0.3])
    assert points(ax, "x")[0].get_xdata().tolist() == [0.2]
    ax = plotting.exponents(drawn.SECTOR, ax=new())
    one, two = (c.lines[0].get_ydata().tolist() for c in ax.containers)
    assert (one, two) == ([0.9, 0.92], [0.95, 0.98])
    second = plotting.exponents(drawn.SECTOR, index=1, ax=new())
    assert second.containers[0].lines[0].get_ydata().tolist() == [-1.0, -1.1]
    assert legend_of(second) == ["2 operators"]


def test_a_real_flow_field_is_drawn():
    mk = rg.MigdalKadanoff(2, 2, rg.bond(spaces.SPIN, field=True))
    seen = rg.flow_field(mk, np.linspace(0.05, 1.0, 3), np.linspace(-0.1, 0.1, 3))
    ax = plotting.flow_field(seen, ("K", "h"), ax=new())
    kinds = {line.get_label(): line.get_xdata() for line in ax.lines}
    assert np.any(np.abs(kinds["two relevant"] - 0.304689) < 1e-5)
