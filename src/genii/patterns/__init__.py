"""Concurrency patterns: boss/worker, work crew, pipeline; bounded, in order on request, leaving nothing behind."""

from __future__ import annotations

from genii.patterns.outcome import Outcome, Progress, shards, values
from genii.patterns.pool import Stage, boss_worker, crew, pipeline, run

__all__ = ["Outcome", "Progress", "Stage", "boss_worker", "crew", "pipeline", "run", "shards", "values"]
