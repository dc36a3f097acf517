"""Reflexion (Shinn et al., NeurIPS 2023, arXiv:2303.11366): try, be judged, learn, try again. What was
learned stays in the agent's memory, and its later runs begin with it.
"""

from __future__ import annotations

from pygent_factory.thinker import Thinker

TRIALS = 3
JUDGE = """\
Judge this answer strictly. Is it right and complete? Begin with PASS or FAIL, then say why in a sentence.

The task:
{task}

The answer:
{answer}"""
REFLECT = """\
An answer of yours was judged to be wrong. Say in two sentences what to do differently next time: the \
cause, and the change.

The task:
{task}

Your answer:
{answer}

The judgement:
{verdict}"""


async def solve(thinker: Thinker, task: str) -> object:
    """The first answer that passes, or the last one."""
    lessons = await thinker.lessons.known(task)
    thinker.note("lessons known", list(lessons))
    answer: object = ""
    for trial in range(TRIALS):
        learned = "".join(f"\n- {lesson}" for lesson in lessons)
        answer = await thinker.work(f"{task}\n\nFrom earlier tries:{learned}" if lessons else task)
        verdict = await thinker.say(JUDGE.format(task=task, answer=answer))
        thinker.note(f"trial {trial + 1}", verdict)
        if verdict.strip().upper().startswith("PASS"):
            break
        if trial + 1 < TRIALS:
            lesson = await thinker.say(REFLECT.format(task=task, answer=answer, verdict=verdict))
            await thinker.lessons.keep(task, lesson)
            lessons.append(lesson)
    thinker.note("lessons", lessons)
    if thinker.lessons.lost:
        thinker.note("memory", thinker.lessons.lost)
    return answer
