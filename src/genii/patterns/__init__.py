"""Concurrency patterns: boss/worker, work crew, pipeline; bounded, in order, cancellable."""
