import pytest

import physdl
from physdl import errors


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_a_physdl_error_and_a_value_error(name):
    error = getattr(errors, name)
    assert issubclass(error, errors.PhysdlError)
    assert issubclass(error, ValueError)
    assert error.__doc__


def test_an_unknown_name_suggests_the_nearest():
    error = errors.UnknownNameError("model", "isin", ["potts", "ising"])
    assert str(error) == "unknown model 'isin': did you mean 'ising'? known: ising, potts."


def test_an_unknown_name_far_from_all_lists_them():
    error = errors.UnknownNameError("model", "zzz", ["potts", "ising"])
    assert str(error) == "unknown model 'zzz': known: ising, potts."


def test_a_missing_package_says_how_to_install_it():
    error = errors.MissingDependencyError("dimod", "reading BQM files")
    assert "reading BQM files needs the package 'dimod'" in str(error)
    assert "pip install dimod" in str(error)


def test_the_package_has_no_other_names():
    with pytest.raises(AttributeError, match="'isin'"):
        physdl.isin  # noqa: B018
    assert {"errors", "models", "Hamiltonian", "conditional_energies"} <= set(dir(physdl))
    assert physdl.errors is errors
