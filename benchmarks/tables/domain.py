"""How well weights know images that are none of theirs, from domain.json."""

from tables.markdown import NOTHING, section, show, table
from tables.sources import not_run, read

COMMAND = "python benchmarks/domain.py --data DATA"
TOLD = (
    "AUROC of the guard's score, test images of the weights' own data against all of"
    " another's; bound 0.95, and 5 % false alarms. Withheld: the share of the other"
    " data's images at which the class is not told. Data marked (similar) are of the"
    " same kind from another place: withholding them is neither right nor wrong."
)


def domain() -> str:
    """Return a row for each weights and each foreign data set."""
    content = read("domain.json")
    if not content:
        return section("Domain guard", not_run(COMMAND))
    lines = []
    for name, row in content.items():
        own = f"{row['in_domain']}, n = {row['n']}"
        alarms = show(row["false_alarms"])
        for other, one in row["against"].items():
            similar = " (similar)" if one.get("similar") else ""
            foreign = f"{other}{similar}, n = {one['n']}"
            withheld = show(one.get("withheld"))
            lines.append([name, own, alarms, foreign, show(one["auroc"]), withheld])
        if not row["against"]:
            lines.append([name, own, alarms, NOTHING, NOTHING, NOTHING])
    header = ["weights", "own data", "false alarms", "against", "AUROC", "withheld"]
    return section("Domain guard", table(header, lines), TOLD, f"`{COMMAND}`")
