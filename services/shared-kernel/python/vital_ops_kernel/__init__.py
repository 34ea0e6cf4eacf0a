"""What every Python service shares: configuration, JSON logs, request ids, schemas, metric names, problems.

The Node services share the same through `../../node`; both read `../../schemas` and `../../metrics.json`. No
dependencies of its own, and each module can be imported alone.
"""
