"""Trained models in MLflow: which are kept, under which names, as a folder that loads without this package.
It trains and evaluates nothing."""
