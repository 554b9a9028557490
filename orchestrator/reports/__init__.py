"""How a sweep's results are shown: its report, that of stored sweeps, and the formats of both. It decides no
verdict and knows neither Ray nor MLflow."""
