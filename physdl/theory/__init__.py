"""The theorems of cheap learning as running code, and the disputes about them as numbers.

| module | question |
|---|---|
| ``expressivity`` | what does a polynomial cost a network, deep or flat? |
| ``hierarchy`` | what must each layer of an inference keep? |
| ``audit`` | is this coarse-graining a renormalization? |
| ``thermometer`` | how well can a network, or a block spin, tell the temperature? |
"""

from physdl.theory import audit as audit
from physdl.theory import expressivity as expressivity
from physdl.theory import hierarchy as hierarchy
from physdl.theory import thermometer as thermometer
