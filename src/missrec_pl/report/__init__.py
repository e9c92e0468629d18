"""Tables and pages made from the results.json files that runs leave: ``python -m missrec_pl.report``."""
