"""Lessons: what there is to learn, what was answered, and which lessons cannot be read."""

import streamlit as st

from viz.frame import lesson_guide
from viz.language.messages import plain, say
from viz.widgets import headings

headings.heading("lessons")
found, errors = lesson_guide.all_lessons()
for error in errors:
    st.error(
        say("lessons.broken", name=plain(f"{error.name}/{error.file}"), line=error.line, message=plain(error.message)),
        icon=":material/error:",
    )
answered = lesson_guide.answers()
for lesson in found:
    with st.container(border=True):
        text, start = st.columns([5, 1], vertical_alignment="center")
        text.header(lesson.title, anchor=False)
        text.markdown(lesson.about)
        done = {row[2] for row in answered if row[1] == lesson.name}
        asked = sum(bool(step.question) for step in lesson.steps)
        text.caption(say("lessons.facts", steps=len(lesson.steps), asked=asked, done=len(done)))
        start.button(
            say("lessons.start"),
            key=f"start_{lesson.name}",
            on_click=lesson_guide.go,
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
