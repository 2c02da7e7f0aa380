"""`yofo serve`: a run and pinned sets behind an HTTP server."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from yofo_mlx.commands import given
from yofo_mlx.commands.chatroom import Chatroom
from yofo_mlx.errors import ExitCode, RecipeError
from yofo_mlx.prompting import demonstrations, held, sets
from yofo_mlx.prompting.held import Model
from yofo_mlx.prompting.inprocess import InProcess
from yofo_mlx.prompting.protocol import BASE
from yofo_mlx.prompting.sides import Side
from yofo_mlx.recipe.names import is_path
from yofo_mlx.serving.engine import Engine
from yofo_mlx.serving.gate import Gate, gate_of
from yofo_mlx.serving.models import Pinned, Plain, Served
from yofo_mlx.serving.server import Offered, Server
from yofo_mlx.system import signals
from yofo_mlx.system.talk import say, say_now

_LEFT_S = 10.0  # for answers that are being written when the server is to end


@dataclass(frozen=True)
class Host(given.Answerer):
    """Who answers clients, and what is kept of what it has read."""

    beside: Sequence[str] = ()
    keeps: bool = True
    kv_bits: int | None = None


@dataclass(frozen=True)
class Listening:
    """Where, to whom, and how much is answered."""

    host: str
    port: int
    key: str | None
    origins: Sequence[str]
    most_tokens: int
    at_once: int
    most_waiting: int


def serve(host: Host, listening: Listening) -> ExitCode:
    """Answer clients until Ctrl-C; what can be wrong is told before a model is loaded."""
    gate = gate_of(listening.host, listening.key, frozenset(listening.origins))
    who = replace(host.held(), beside=tuple(map(held.beside, host.beside)))
    for name in host.demos:
        sets.get(name)
    engine = Engine(at_once=listening.at_once, most_waiting=listening.most_waiting)
    where = listening.host, listening.port
    with Server(*where, engine=engine, gate=gate) as server, InProcess() as session:
        models = _served(session, who, host, host.run or host.model)
        server.offered = Offered(models, listening.most_tokens)
        return _answer(server, engine, gate)


def _served(session: InProcess, who: Model, host: Host, alias: str | None) -> dict[str, Served]:
    """Read all sets, and return what answers to each name, the sets first."""
    room = Chatroom(session, who, style=demonstrations.style_of(who.run))
    room.wanted, room.seed = host.shots, host.seed
    room.keeps, room.kv_bits = host.keeps, host.kv_bits
    models: dict[str, Served] = {}
    for name in [*dict.fromkeys(host.demos), None]:
        _read(room, name)
        sides = session.prompter.hand_over()
        for side in sides:
            one = _one(session, side, name)
            if one.name in models:
                raise RecipeError(f"two models are called {one.name}", "serve one of them")
            models[one.name] = one
        if alias:
            models.setdefault(f"{alias}:{name}" if name else alias, models[_name(sides[0], name)])
    return models


def _read(room: Chatroom, name: str | None) -> None:
    """Have all who answer read a set, or none, and nothing else."""
    room.forget()
    if name is None:
        room.show([])
    else:
        room.take_named([name], given.parsed([name], room.style))


def _one(session: InProcess, side: Side, name: str | None) -> Served:
    prompter = session.prompter
    tokenizer = prompter.turn(side).base.tokenizer
    kind = Plain if name is None else Pinned
    return kind(_name(side, name), side.prefix, tokenizer, partial(_turn, session, side))


def _turn(session: InProcess, side: Side) -> None:
    session.prompter.turn(side)


def _name(side: Side, name: str | None) -> str:
    """Return what clients call one who answers, behind a set."""
    who = side.source.model if side.name == BASE and side.source.run is None else side.name
    who = Path(who).name if is_path(who) else who
    return f"{who}:{name}" if name else who


def _answer(server: Server, engine: Engine, gate: Gate) -> ExitCode:
    """Answer until the user, or the system, wants an end."""
    asked_to_end = 0

    def end(*_: object) -> None:
        nonlocal asked_to_end
        asked_to_end += 1
        if asked_to_end > 1:
            engine.give_up()
            return
        say_now("ending: what is being answered is finished; Ctrl-C again cuts it off")
        timer = threading.Timer(_LEFT_S, engine.give_up)
        timer.daemon = True
        timer.start()
        engine.close()

    threading.Thread(target=server.serve_forever, daemon=True).start()
    with signals.answered(end):
        _tell(server, gate)
        engine.run()
        server.shutdown()
        server.wait_until_answered(2.0)
    return ExitCode.INTERRUPTED if asked_to_end > 1 else ExitCode.OK


def _tell(server: Server, gate: Gate) -> None:
    print(server.url, flush=True)
    for line in _lines(server, gate):
        say(line)


def _lines(server: Server, gate: Gate) -> Iterator[str]:
    yield f"answers at {server.url}; Ctrl-C ends"
    for name in server.offered.names:
        yield f"  model {name}"
    if not gate.is_loopback:
        yield "whoever has the key can ask; it and all texts cross the network unencrypted"
