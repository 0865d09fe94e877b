"""Published results, each computed again: one file a result.

``names`` lists the files of this folder, ``run`` computes them, and ``physdl reproduce`` prints the
table. A result is a module with

| name | what it is |
|---|---|
| its docstring | what was published, and how it is computed here |
| ``SUBJECT`` | exact, sampling, mean field, renormalization, tensors, theory or learning |
| ``CITATION`` | paper and place |
| ``PUBLISHED`` | the number as printed |
| ``TOLERANCE`` | how far the computed one may be off: what the printed digits say |
| ``QUICK`` | whether it takes less than ten seconds |
| ``compute()`` | the number, or a ``Computed`` with a standard error |

Nothing else has to know of it: adding a result is adding a file.
"""

from physdl.reproduce._outcomes import Computed as Computed
from physdl.reproduce._outcomes import Outcome as Outcome
from physdl.reproduce._outcomes import Published as Published
from physdl.reproduce._outcomes import names as names
from physdl.reproduce._outcomes import published as published
from physdl.reproduce._outcomes import run as run
from physdl.reproduce._tables import as_html as as_html
from physdl.reproduce._tables import as_markdown as as_markdown
