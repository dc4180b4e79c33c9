"""What several test modules share; no test module imports another."""

import pytest

pytest.register_assert_rewrite("tests.support.byhand")  # it has tests that others extend
