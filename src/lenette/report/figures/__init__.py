"""Pictures of runs, data and networks: each function returns a matplotlib Figure, to show, to save or to change."""

from lenette.report.figures.curves import curves, error, error_band, learning_rate, loss
from lenette.report.figures.images import doubtful, samples, worst
from lenette.report.figures.judgement import calibration, confusion, per_class
from lenette.report.figures.network import feature_maps, filters, grad_cam
from lenette.report.style import save, to_svg

__all__ = [
    "calibration",
    "confusion",
    "curves",
    "doubtful",
    "error",
    "error_band",
    "feature_maps",
    "filters",
    "grad_cam",
    "learning_rate",
    "loss",
    "per_class",
    "samples",
    "save",
    "to_svg",
    "worst",
]
