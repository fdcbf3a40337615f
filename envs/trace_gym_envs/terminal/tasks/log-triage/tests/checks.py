"""What the report must hold."""

from checklist import lines, run, same

REPORT = "/app/report/"
MALFORMED = [
    '10.0.0.9 - - [08/Mar/2024:13:59:27 +0000] "GET /sear',
    '10.0.3.1 - - [08/Mar/2024:18:29:49 +0000] "GET /api/',
    "10.0.1.19 - - [09/Mar/2024:09:46:52",
    "10.0.0.9 - - [09/Mar/20",
    "10.0.0.16 - - [10/Mar/2024:08:02:33 +00",
    "10.0.3.16 - - [10/Ma",
]
CLIENTS = ["client,requests", "10.0.1.19,31", "10.0.0.23,27", "10.0.3.9,22", "10.0.0.1,18", "10.0.0.16,17"]
ERRORS = [
    "path,errors",
    "/login,10",
    "/api/users,5",
    "/search,5",
    "/,3",
    "/cart,3",
    "/checkout,3",
    "/static/app.js,2",
    "/api/items,1",
]
HOURLY = [
    "hour,requests",
    "06,14",
    "07,15",
    "08,9",
    "09,13",
    "10,21",
    "11,14",
    "12,16",
    "13,19",
    "14,11",
    "15,25",
    "16,15",
    "17,21",
    "18,20",
    "19,21",
]
SLOWEST = ["2382ms /api/items?q=pot&page=1", "2352ms /api/items?q=tea&page=2", "2339ms /login"]

run(
    {
        "malformed": lambda: same(lines(REPORT + "malformed.txt"), MALFORMED, "malformed.txt"),
        "top_clients": lambda: same(lines(REPORT + "top_clients.csv"), CLIENTS, "top_clients.csv"),
        "server_errors": lambda: same(lines(REPORT + "server_errors.csv"), ERRORS, "server_errors.csv"),
        "hourly": lambda: same(lines(REPORT + "hourly.csv"), HOURLY, "hourly.csv"),
        "total_bytes": lambda: same(lines(REPORT + "total_bytes.txt"), ["1115432"], "total_bytes.txt"),
        "slowest": lambda: same(lines(REPORT + "slowest.txt"), SLOWEST, "slowest.txt"),
    }
)
