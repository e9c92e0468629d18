"""Generated data: small domains for tests and first steps, and domains of the size of the paper."""

from missrec_pl.data.synthetic.generator import SyntheticDomains

__all__ = ["SyntheticDomains"]
