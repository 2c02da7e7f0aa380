"""Labels that answers are chosen among, and how free answers fall beside them."""

from yofo_mlx.tasks.task import Task

SINGLE = ("classification", "nli")  # families whose answer is one label
MOST = 1000  # labels that are told apart


def labels_of(task: Task) -> tuple[str, ...]:
    """Return the labels of a task that has one a query, none where an answer may be anything."""
    if task.family not in SINGLE:
        return ()
    examples = (*task.train, *task.valid, *task.test)
    labels = task.labels or tuple(sorted({example.output for example in examples}))
    return labels if len(labels) <= MOST else ()
