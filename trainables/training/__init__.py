"""The one training loop of all variants, its records, presets, and what watches it. It knows no search and no
sweep."""
