"""Causes: each class that was asked for, at each site, taken out and put in.

How long it takes is said at `control`, `removal` and `insertion`; all of it resumes from the site.
"""

from __future__ import annotations

from dataclasses import dataclass

from ganprobe_dissection.control import Control, draw_control
from ganprobe_dissection.insertion import Insertion, insert
from ganprobe_dissection.question import Question, make_questions
from ganprobe_dissection.removal import Removal, remove
from ganprobe_dissection.shown import Shown, show
from ganprobe_dissection.study import Study


@dataclass(frozen=True, eq=False)
class Cause:
    """What the units of a class at a site cause.

    Args:
        shown: a few of the measured samples, before and after.
    """

    question: Question
    removal: Removal
    insertion: Insertion
    shown: Shown


def study_causes(study: Study) -> tuple[Cause, ...]:
    """Every class that was asked for, at each site; none where none was.

    Raises:
        UnknownNameError: the segmenter has no such class.
        ParameterError: a class that none of the samples shows.
    """
    questions = make_questions(study.plan, study.sites)
    controls = {one.site: one for one in reversed(questions)}
    drawn = {site: draw_control(question) for site, question in controls.items()}
    return tuple(_answered(question, drawn[question.site]) for question in questions)


def _answered(question: Question, control: Control) -> Cause:
    removal = remove(question, control)
    insertion = insert(question, removal.chosen.units)
    return Cause(question, removal, insertion, show(removal, insertion))
