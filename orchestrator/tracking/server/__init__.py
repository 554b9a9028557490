"""What is known of MLflow itself: limits, settings, addresses, versions, whether one answers. It knows
nothing of a sweep."""
