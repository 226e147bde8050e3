"""What people see of runs: facts, words, figures and pages."""

from lenette.report import figures
from lenette.report.facts import facts
from lenette.report.page import left_out, page, write
from lenette.report.words import lines

__all__ = ["facts", "figures", "left_out", "lines", "page", "write"]
