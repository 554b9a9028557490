"""What a sweep costs: before it begins, while it runs, and when it has to end. It looks at plans and clocks
and trains nothing itself but the few steps of a probe."""
