"""Makes the mutants of a source file, each with one of cosmic-ray's mutations: a `<` becomes `<=`, a 1 becomes 2."""

import ast
import difflib
import itertools
from collections.abc import Iterator

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

from scripts.mutant_runs import Mutant

# Of cosmic-ray's 200 operators those that each say something of their own: a comparison is moved by one and turned
# round, a calculation is replaced by its opposite. `+` as `*`, `%`, `**` … would die of the same test ten times.
OPERATORS = (
    *(
        f"core/ReplaceComparisonOperator_{change}"
        for change in ("Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt")
    ),
    *(f"core/ReplaceComparisonOperator_{change}" for change in ("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is")),
    *(
        f"core/ReplaceBinaryOperator_{change}"
        for change in ("Add_Sub", "Sub_Add", "Mul_FloorDiv", "Div_Mul", "FloorDiv_Mul", "Mod_FloorDiv", "Pow_Mul")
    ),
    *(
        f"core/ReplaceBinaryOperator_{change}"
        for change in ("RShift_LShift", "LShift_RShift", "BitOr_BitAnd", "BitAnd_BitOr", "BitXor_BitOr")
    ),
    *(f"core/ReplaceUnaryOperator_{change}" for change in ("USub_UAdd", "Delete_Not", "Delete_Invert")),
    *(f"core/{name}" for name in ("AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "NumberReplacer")),
    *(f"core/{name}" for name in ("ReplaceAndWithOr", "ReplaceOrWithAnd", "ZeroIterationForLoop", "RemoveDecorator")),
    *(f"core/{name}" for name in ("ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ExceptionReplacer")),
)


def mutants_of(source: str) -> list[Mutant]:
    """All of a source, in the order of its lines.

    Left out is what changes only annotations, or the options of a decorator or a class (frozen, slots, gc: no test is
    to notice them), and what isn't Python: a bare `*` among parameters is taken for a product.
    """
    meaning = _meaning(source)
    return sorted(
        (
            _compared(source, mutated)
            for operator in OPERATORS
            for mutated in _applied(source, operator)
            if _meaning(mutated) not in (None, meaning)
        ),
        key=lambda mutant: (mutant.line, mutant.becomes),
    )


def _applied(source: str, name: str) -> Iterator[str]:
    operator = get_operator(name)()
    places = sum(len(list(operator.mutation_positions(node))) for node in ast_nodes(get_ast(source)))
    for place in range(places):
        try:
            mutated = mutate_code(source, operator, place)
        except AttributeError:  # cosmic-ray 8.7 fails at `except (module.Error, Other)`
            continue
        assert mutated is not None, f"{name} has no place {place}"
        yield mutated


def _meaning(source: str) -> str | None:
    """The syntax tree without annotations and options of classes. None: there is none."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.ClassDef):
            node.keywords = []
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call):
                    decorator.keywords = []
    return ast.dump(tree)


def _compared(source: str, mutated: str) -> Mutant:
    before, after = source.splitlines(), mutated.splitlines()
    changes = [
        change
        for change in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
        if change[0] != "equal"
    ]
    start, old_end = changes[0][1], changes[-1][2]
    new_end = len(after) - (len(before) - old_end)
    new = list(itertools.islice(after, changes[0][3], new_end))
    if not new:  # a line is gone: the next one says which of several alike
        old_end, new = old_end + 1, after[new_end : new_end + 1]
    return Mutant(start + 1, _joined(before[start:old_end]), _joined(new), mutated)


def _joined(lines: list[str]) -> str:
    """Without the lines' comments: a new reason for a number leaves the number as it is."""
    return " ".join(" ".join(line.partition("  # ")[0] for line in lines).split())
