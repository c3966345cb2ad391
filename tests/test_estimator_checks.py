"""scikit-learn's own checks of every public estimator."""

import pytest
import sklearn
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.fixes import parse_version
from support import checks

pytestmark = [
    pytest.mark.filterwarnings(f"ignore::{name}")
    for name in (
        "sklearn.exceptions.ConvergenceWarning",
        "skcaptcha.exceptions.LabelConversionWarning",
    )
]


@parametrize_with_checks(
    checks.make_estimators(), expected_failed_checks=checks.get_expected_failures
)
def test_estimators_stand_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", checks.make_estimators()[:2])
def test_every_check_runs_on_what_reads(estimator):
    counts, results = checks.count(estimator)
    failed = {r["check_name"] for r in results if r["status"] == "xfail"}
    expected = set(checks.EXPECTED_FAILURES[type(estimator).__name__])
    if parse_version(sklearn.__version__) >= parse_version("1.9"):
        assert counts == {"passed": 43, "xfail": 6}
        assert failed == expected
    else:  # which has fewer checks
        assert counts["passed"] > 30
        assert counts.keys() <= {"passed", "xfail"}
        assert failed <= expected
