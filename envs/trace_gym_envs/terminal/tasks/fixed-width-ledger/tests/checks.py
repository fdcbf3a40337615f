"""What must have been computed."""

from checklist import lines, run, same

UNBALANCED = ["00007", "00019"]
BALANCES = [
    "1000;Cash;-12156.57",
    "1200;Receivables;-10327.90",
    "3000;Sales;7042.50",
    "4000;Rent;8502.38",
    "4100;Paper and ink;6939.59",
]
MONTHS = ["2024-01 15188.03", "2024-02 6865.37", "2024-03 15072.70"]

run(
    {
        "unbalanced": lambda: same(lines("/app/unbalanced.txt"), UNBALANCED, "unbalanced.txt"),
        "balances": lambda: same(lines("/app/balances.txt"), BALANCES, "balances.txt"),
        "months": lambda: same(lines("/app/months.txt"), MONTHS, "months.txt"),
    }
)
