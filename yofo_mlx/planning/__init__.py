"""Planning: what a run works on, whether it fits, and how long it takes."""

__all__ = [
    "evaluation",
    "hours",
    "label_tasks",
    "machine",
    "outlook",
    "packing",
    "planner",
    "probe",
    "shelf",
    "sizes",
    "speeds",
    "step_memory",
    "volume",
    "workload",
    "yardstick",
]
