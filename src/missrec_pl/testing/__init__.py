"""For tests of one's own parts: the contract's suite, as `check_estimator` is scikit-learn's."""

from missrec_pl.testing.contract_suite import ContractError, check_recommender

__all__ = ["ContractError", "check_recommender"]
