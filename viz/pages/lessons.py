"""Lessons: the list of lessons, the answers given so far, and errors in lessons that cannot be read."""

import streamlit as st

from viz.frame import lesson_guide
from viz.language.messages import escape_markdown, say
from viz.widgets import headings

headings.page_heading("lessons")
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
answered = lesson_guide.recorded_answers()
for lesson in lessons:
    with st.container(border=True):
        text, start = st.columns([5, 1], vertical_alignment="center")
        text.header(lesson.title, anchor=False)
        text.markdown(lesson.about)
        done = {row[2] for row in answered if row[1] == lesson.name}
        questions = sum(bool(step.question) for step in lesson.steps)
        text.caption(say("lessons.facts", steps=len(lesson.steps), asked=questions, done=len(done)))
        start.button(
            say("lessons.start"),
            key=f"start_{lesson.name}",
            on_click=lesson_guide.go_to_step,
            args=(lesson.name,),
            type="primary",
            width="stretch",
        )
st.header(say("lessons.yours"), anchor=False)
st.markdown(say("lessons.yours_why"))
st.download_button(
    say("lessons.download", count=len(answered)),
    lesson_guide.as_csv(answered),
    "headlight-answers.csv",
    "text/csv",
    disabled=not answered,
    icon=":material/download:",
    key="lesson_download",
)
