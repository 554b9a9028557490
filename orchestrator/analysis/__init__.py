"""What the results mean: configurations, their gain over the baseline, the frontier. Arithmetic on data
frames alone. It draws nothing, writes nothing and knows neither Ray nor MLflow."""
