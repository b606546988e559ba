"""Lessons: the list of lessons, the answers given so far, and errors in lessons that cannot be read."""

import streamlit as st

from viz.frame import lesson_guide
from viz.language.messages import escape_markdown, say
from viz.saving import tables
from viz.widgets import headings

answered = lesson_guide.recorded_answers()
with st.container(horizontal=True, key="controls", vertical_alignment="center"):
    headings.page_heading("lessons")
    st.download_button(
        say("lessons.download", count=len(answered)),
        tables.answers_csv(answered),
        "headlight-answers.csv",
        "text/csv",
        disabled=not answered,
        icon=":material/download:",
        key="lesson_download",
        help=say("lessons.yours_why"),
    )
lessons, errors = lesson_guide.lessons_and_errors()
for error in errors:
    st.error(
        say(
            "lessons.broken",
            name=escape_markdown(f"{error.name}/{error.file}"),
            line=error.line,
            message=escape_markdown(error.message),
        ),
        icon=":material/error:",
    )
columns = st.columns(2)
for number, lesson in enumerate(lessons):
    # Down the left column, then down the right one.
    with columns[2 * number >= len(lessons)], st.container(border=True, key=f"lesson_card_{number}"):
        text, start = st.columns([5, 1], vertical_alignment="center")
        done = {row[2] for row in answered if row[1] == lesson.name}
        questions = sum(bool(step.question) for step in lesson.steps)
        finished = 0 < questions == len(done)
        text.header(f"{lesson.title} :green[:material/check_circle:]" if finished else lesson.title, anchor=False)
        facts = say("lessons.facts", steps=len(lesson.steps), asked=questions, done=len(done))
        text.markdown(f"{lesson.about} :small[{facts}]")
        start.button(
            say("lessons.once_more" if finished else "lessons.start"),
            key=f"start_{lesson.name}",
            on_click=lesson_guide.go_to_step,
            args=(lesson.name,),
            kwargs={"afresh": finished},
            type="secondary" if number else "primary",
            width="stretch",
        )
