"""All that is not a rule, in order of flow: case -> oracle -> subject -> verdict -> report."""
