"""Settings of all tests.

Generated inputs are the same in every run, so that the gate says the same of the same code;
`HYPOTHESIS_PROFILE=explore scripts/check` looks for new ones.
"""

import os

from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))
