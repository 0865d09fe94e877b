import jax
import pytest


@pytest.fixture
def as_a_user():
    """Single precision and JAX's defaults."""
    with (
        jax.enable_x64(False),
        jax.numpy_rank_promotion("allow"),
        jax.numpy_dtype_promotion("standard"),
    ):
        yield
