"""MLflow reads this when it is imported, so it is set before any test module imports it."""

import os

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
