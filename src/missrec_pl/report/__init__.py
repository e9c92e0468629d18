"""Tables and pages made from the results.json files that runs leave: ``python -m missrec_pl.report``."""

from missrec_pl.report.runs.collect import RunResult, collect
from missrec_pl.report.runs.summarise import Summary, summarise

__all__ = ["RunResult", "Summary", "collect", "summarise"]
