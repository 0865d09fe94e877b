"""The synapses of a fast Fourier transform.

Published as 2 n log2(n) of the radix-two algorithm, 20 480 for n = 1024, in place of n^2.
"""

from physdl.theory import expressivity

SUBJECT = "theory"
CITATION = (
    "J. W. Cooley and J. W. Tukey, Math. Comput. 19, 297 (1965); H. W. Lin, M. Tegmark and D. "
    "Rolnick, J. Stat. Phys. 168, 1223 (2017)"
)
PUBLISHED = 20480.0
TOLERANCE = 0.5
QUICK = True


def compute() -> float:
    """Nonzero weights."""
    return float(expressivity.flatten_linear(expressivity.butterfly_fft(1024)).deep)
