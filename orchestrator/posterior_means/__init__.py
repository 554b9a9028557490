"""`python -m orchestrator.posterior_means`: why a posterior collapses, seen in the plane of posterior means.
A command of its own, without Ray and without MLflow."""
