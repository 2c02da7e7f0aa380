"""Who is answered when, and what becomes of those that leave; no server, no thread."""

from typing import Any

import pytest

from tests.fakes import random_llama
from tests.serving.running import models_of
from yofo_mlx.prompting.generation import generate
from yofo_mlx.serving import writing as writing_module
from yofo_mlx.serving.engine import Engine
from yofo_mlx.serving.jobs import Choosing, Finished, Piece, Writing
from yofo_mlx.serving.models import Conversation
from yofo_mlx.serving.refusals import Refusal
from yofo_mlx.serving.sampling import Sampling

SET = "run:colours"


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return models_of(random_llama())


def writing(served: Any, text: str, most: int = 4) -> Writing:
    asked = Conversation("", (), text)
    return Writing(served, asked=asked, max_tokens=most, sampling=Sampling(0.0, 1.0, 0))


def answered(engine: Engine, *jobs: Any) -> list[list[Any]]:
    """Let an engine answer, and return what came of each job."""
    for job in jobs:
        engine.submit(job)
    engine.close()
    engine.run()
    return [[job.events.get() for _ in range(job.events.qsize())] for job in jobs]


def text(events: list[Any]) -> str:
    assert isinstance(events[-1], Finished), events
    return "".join(one.text for one in events if isinstance(one, Piece))


def alone(served: Any, query: str, most: int = 4) -> str:
    prefix = served.chooser(["a", "b"]).prefix
    question = prefix.question(query)
    return generate(prefix.context, prefix.segmenter, question, max_tokens=most).text


def test_all_kinds_side_by_side_give_what_each_gives_alone(models: dict[str, Any]) -> None:
    pinned, plain = models[SET], models["run"]
    asked = [(pinned, "a"), (plain, "bb"), (pinned, "ccc"), (plain, "dddd"), (pinned, "e" * 30)]
    jobs = [writing(*one) for one in asked]
    labels = Choosing(pinned, texts=["a", "b"], labels=None)
    *found, chosen = answered(Engine(at_once=16, most_waiting=16), *jobs, labels)
    assert [text(events) for events in found] == [alone(*one) for one in asked]
    [first, _, _] = chosen
    [again, _, _] = answered(
        Engine(at_once=1, most_waiting=0), Choosing(pinned, texts=["a", "b"], labels=None)
    )[0]
    assert dict(first.shares) == pytest.approx(dict(again.shares), abs=1e-4)


def test_an_answer_goes_on_where_it_was_when_others_come(models: dict[str, Any]) -> None:
    engine = Engine(at_once=16, most_waiting=16)
    first, others = writing(models[SET], "a", 12), [writing(models[SET], q) for q in ("b", "c")]
    engine.submit(first)
    engine._gather()
    engine._start()
    [work] = engine._running
    for _ in range(3):
        engine._advance(work)
    assert work.is_alone and first.place == 3
    found = answered(engine, *others)
    assert [text(events) for events in found] == [alone(models[SET], q) for q in ("b", "c")]
    events = [first.events.get() for _ in range(first.events.qsize())]
    assert text(events) == alone(models[SET], "a", 12)


def begun(engine: Engine, *jobs: Any, steps: int) -> None:
    """Let an engine take some steps of jobs, one of its rounds each."""
    for job in jobs:
        engine.submit(job)
    for _ in range(steps):
        engine._gather()
        engine._start()
        for work in list(engine._running):
            engine._advance(work)


def test_those_who_come_later_join_the_rows_that_are_there(models: dict[str, Any]) -> None:
    engine = Engine(at_once=5, most_waiting=16)
    asked = [("a", 12), ("bb", 3), ("ccc", 9), ("d" * 20, 4), ("e", 2), ("f", 3), ("g", 5)]
    jobs = [writing(models[SET], *one) for one in asked]
    begun(engine, *jobs[:2], steps=2)
    for job in jobs[2:]:
        begun(engine, job, steps=1)
        assert len(engine._running) == 1
    assert jobs[1].is_over and jobs[5].place  # a place that is free is taken at once
    jobs[0].leave()
    answered(engine)
    for job, one in zip(jobs[1:], asked[1:], strict=True):
        told = [job.events.get() for _ in range(job.events.qsize())]
        assert text(told) == alone(models[SET], *one)


def test_whoever_begins_otherwise_or_is_too_long_stands_apart(
    models: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing_module, "OWN", 100)
    engine, plain = Engine(at_once=16, most_waiting=16), models["run"]
    asked = ["good one", "good two", "good three", "bad", "good " + "x" * 90]
    jobs = [writing(plain, query, 6) for query in asked]
    begun(engine, *jobs[:2], steps=1)
    for job, works in zip(jobs[2:], (1, 2, 3), strict=True):
        begun(engine, job, steps=1)
        assert len(engine._running) == works
    begun(engine, writing(models[SET], "a", 2), steps=1)
    answered(engine)
    for job, query in zip(jobs, asked, strict=True):
        told = [job.events.get() for _ in range(job.events.qsize())]
        assert text(told) == alone(plain, query, 6)


@pytest.mark.parametrize("beside", [0, 2])
def test_what_nobody_waits_for_is_not_written(models: dict[str, Any], beside: int) -> None:
    engine = Engine(at_once=4, most_waiting=4)
    jobs = [writing(models[SET], "abc"[n], 90) for n in range(1 + beside)]
    for job in jobs:
        engine.submit(job)
    engine._gather()
    engine._start()
    for _ in range(2):
        for work in list(engine._running):
            engine._advance(work)
    for job in jobs:
        job.leave()
    answered(engine)
    assert all(job.place <= 3 and not job.is_over for job in jobs)
    [again] = answered(Engine(at_once=1, most_waiting=0), writing(models[SET], "a"))
    assert text(again) == alone(models[SET], "a")  # what it stood behind is as it was


def test_one_too_many_is_refused_and_a_failure_is_told(
    models: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    engine = Engine(at_once=1, most_waiting=1)
    good, bad = writing(models[SET], "a"), writing(models["run"], "b")
    monkeypatch.setattr(bad.served, "align", lambda *_: 1 / 0)
    engine.submit(bad)
    engine.submit(good)
    with pytest.raises(Refusal, match="try again"):
        engine.submit(good)
    answered(engine)
    assert bad.events.get().status == 500
    assert "ZeroDivisionError" in capsys.readouterr().err
    events = [good.events.get() for _ in range(good.events.qsize())]
    assert text(events) == alone(models[SET], "a")


def test_memory_that_ends_and_a_query_that_is_too_long_are_told_apart(
    models: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    long, full = writing(models[SET], "x" * 600), writing(models["run"], "b")

    def fail(*_: Any) -> None:
        raise RuntimeError("[malloc] no more")

    monkeypatch.setattr(full.served, "align", fail)
    told = [one for [one] in answered(Engine(at_once=1, most_waiting=1), long, full)]
    assert [(one.status, one.code) for one in told] == [
        (400, "context_length_exceeded"),
        (503, "out_of_memory"),
    ]
    assert [one.message.partition(" ")[0] for one in told] == ["the", "memory"]


def test_what_is_cut_off_by_the_end_is_told(models: dict[str, Any]) -> None:
    engine = Engine(at_once=1, most_waiting=4)
    jobs = [writing(models[SET], "a", 50), writing(models[SET], "b")]
    for job in jobs:
        engine.submit(job)
    engine._gather()
    engine._start()
    engine.give_up()
    engine.run()
    assert [job.events.get().status for job in jobs] == [503, 503]
    with pytest.raises(Refusal, match="shutting down"):
        engine.submit(jobs[0])
