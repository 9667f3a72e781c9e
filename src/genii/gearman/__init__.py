"""The job server, its clients and its workers: Gearman, whole and fast."""
