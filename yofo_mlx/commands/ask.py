"""`yofo ask`: a free answer to each row of a file."""

from yofo_mlx.answering.asking import TEXT_COLUMNS, Asker, Writer
from yofo_mlx.commands.answering import Asked, Files, answer_file, show
from yofo_mlx.commands.chatroom import Chatroom
from yofo_mlx.errors import ExitCode, Mistakes
from yofo_mlx.prompting.demonstrations import Style
from yofo_mlx.prompting.inprocess import InProcess

MAX_TOKENS = 256


def ask(
    asked: Asked, files: Files, *, max_tokens: int | None = None, as_json: bool = False
) -> ExitCode:
    """Answer each row of a file freely, greedily."""
    most = max_tokens or MAX_TOKENS

    def make(session: InProcess, room: Chatroom, style: Style) -> Asker:
        return Writer(session.prompter.prefix, most, session.prompter.blocks)

    answered = answer_file(asked, files, [*TEXT_COLUMNS], make, {"max-tokens": most}, Mistakes())
    return ExitCode.OK if answered is None else show(answered, files, {}, as_json=as_json)
