"""A task: what goes in, what comes out, what that is compared with, and what is said of it."""

from specc.extending import Task, Values

TWO_GUESSES = Task(
    name="two_guesses",
    learns="one class an image",
    kind="class",
    target=Values((), "int64", below="classes"),
    output=Values(("classes",)),
    loss="smoothed",
    term="classification",
    metrics=("among_two", "accuracy"),
    running="among_two",
    torch="specc_toys.task_torch:METRICS",
)
