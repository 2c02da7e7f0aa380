"""Small changes to Python source, one at a time: what a slip of the pen would do."""

import ast
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list"}


@dataclass(frozen=True)
class Mutation:
    """One change: what it is, the statement it is in, and the whole changed source."""

    what: str
    statement: str  # its first line
    lines: tuple[int, int]  # of the statement, or of the head of a compound one
    source: str
    lot: bytes  # lowest drawn first


def mutants(source: str, count: int, seed: int) -> list[Mutation]:
    """Return `count` different mutations of a module, drawn by a seed; fewer if it has fewer.

    Which ones depends on the changed statements themselves, so that most stay when others change.
    """
    seen: Counter[str] = Counter()
    lots = []
    lines = source.splitlines()
    for number, (statement, node, _) in enumerate(_sites(ast.parse(source))):
        place = f"{seed} {lines[statement.lineno - 1].strip()} {ast.unparse(node)}"
        seen[place] += 1
        lots.append((hashlib.sha256(f"{place} {seen[place]}".encode()).digest(), number))
    found: dict[str, Mutation] = {}
    unchanged = ast.unparse(ast.parse(source))
    for lot, number in sorted(lots):
        mutation = _mutate(source, number, lot)
        if mutation.source != unchanged:
            found.setdefault(mutation.source, mutation)
        if len(found) == count:
            break
    return list(found.values())


def _mutate(source: str, number: int, lot: bytes) -> Mutation:
    """Carry out the change at one site of a freshly parsed module."""
    tree = ast.parse(source)
    statement, node, change = list(_sites(tree))[number]
    before = ast.unparse(node)
    after = change()
    last = min(_bodies(statement), default=statement.end_lineno or statement.lineno)
    return Mutation(
        what=f"{_short(before)} -> {_short(after)}",
        statement=source.splitlines()[statement.lineno - 1].strip(),
        lines=(statement.lineno, last),
        source=ast.unparse(ast.fix_missing_locations(tree)),
        lot=lot,
    )


Site = tuple[ast.stmt, ast.AST, Callable[[], str]]


def _sites(tree: ast.Module) -> Iterator[Site]:
    """Yield every place where something may be changed; words of errors and types are none."""
    for statement in ast.walk(tree):
        if isinstance(statement, ast.stmt) and not isinstance(
            statement, ast.Raise | ast.ImportFrom
        ):
            yield from _whole(statement)
            for node in _expressions(statement):
                for change in _changes(node):
                    yield statement, node, change


def _bodies(statement: ast.stmt) -> list[int]:
    """Return the last line before each block of a compound statement."""
    blocks = [getattr(statement, name, []) for name in ("body", "orelse", "handlers", "finalbody")]
    return [max(block[0].lineno - 1, statement.lineno) for block in blocks if block]


def _expressions(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the expressions of a statement itself: not of the blocks in it, and no types."""
    types = {"annotation", "returns", "decorator_list", "bases"}
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if node is not statement:
            yield node
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
            continue
        for name, value in ast.iter_fields(node):
            children = value if isinstance(value, list) else [value]
            waiting += [
                child
                for child in children
                if isinstance(child, ast.AST)
                and name not in types
                and not isinstance(child, ast.stmt | ast.excepthandler | ast.match_case)
            ]


def _whole(statement: ast.stmt) -> Iterator[Site]:
    """Yield the removal of what a statement is there for, and the turning of a condition."""
    is_word = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.If):
        test = statement.test
        yield statement, test, _put(statement, "test", ast.UnaryOp(ast.Not(), test), "test")
    elif isinstance(statement, ast.Expr | ast.AugAssign | ast.Break | ast.Continue) and not is_word:
        yield statement, statement, _become(statement, ast.Pass())


def _changes(node: ast.AST) -> Iterator[Callable[[], str]]:
    """Yield the changes of one expression; each carries itself out and says what there is then."""
    match node:
        case ast.Compare():
            yield _put(node, "ops", [COMPARISONS[type(node.ops[0])](), *node.ops[1:]])
        case ast.BinOp() if type(node.op) in OPERATORS:
            yield _put(node, "op", OPERATORS[type(node.op)]())
        case ast.BoolOp():
            yield _put(node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And())
            yield _put(node, "values", node.values[:-1])
        case ast.UnaryOp(op=ast.Not()):
            yield _put(node, "operand", ast.UnaryOp(ast.Not(), node.operand))
        case ast.UnaryOp(op=ast.USub()) if not isinstance(node.operand, ast.Constant):
            yield _put(node, "op", ast.UAdd())
        case ast.IfExp():
            yield _put(node, "test", ast.UnaryOp(ast.Not(), node.test))
        case ast.Constant(value=bool() as value):
            yield _put(node, "value", not value)
        case ast.Constant(value=int() as value):
            yield _put(node, "value", value + 1)
        case ast.Constant(value=float() as value):
            yield _put(node, "value", value * 2 or 1.0)
        case ast.Call():
            named = node.func.id if isinstance(node.func, ast.Name) else ""
            if named in NAMES:
                yield _put(node, "func", ast.Name(NAMES[named], ast.Load()))
            if node.keywords:
                yield _put(node, "keywords", node.keywords[:-1])
            if len(node.args) > 1 and named not in NAMES:  # they do not mind the order
                yield _put(node, "args", [node.args[1], node.args[0], *node.args[2:]])
            if isinstance(node.func, ast.Attribute) and not node.args:
                yield _become(node, node.func.value)
            elif len(node.args) == 1:
                yield _become(node, node.args[0])
        case ast.comprehension() if node.ifs:
            yield _put(node, "ifs", node.ifs[1:])
        case ast.Slice(lower=ast.AST(), upper=None):
            yield _put(node, "lower", None)
        case ast.List() if len(node.elts) > 1:
            yield _put(node, "elts", node.elts[:-1])


def _put(node: ast.AST, field: str, value: object, shown: str = "") -> Callable[[], str]:
    def put() -> str:
        setattr(node, field, value)
        return ast.unparse(getattr(node, shown) if shown else node)

    return put


def _become(node: ast.AST, other: ast.AST) -> Callable[[], str]:
    def become() -> str:
        node.__class__ = other.__class__
        node.__dict__ |= vars(other)
        return ast.unparse(node)

    return become


def _short(text: str) -> str:
    return " ".join(text.split())[:100]
