"""What every file must hold."""

from checklist import lines, read, run, same

FILES = {
    "docs/settings.md": "| name | unit |\n|---|---|\n| cache_seconds | seconds |\n| nocache_ttl | pages |\n",
    "services/api/api.json": '{\n  "port": 8080,\n  "cache_seconds": 1800,\n  "retry": {"cache_seconds": 120, "times": 3}\n}\n',
    "services/api/handler.py": 'def load(settings):\n    """Reads cache_seconds, which is in seconds."""\n    ttl = settings["cache_seconds"]\n    return {"expires": ttl}\n',
    "services/legacy/old.conf": "cache_ttl 15\n# cache_ttl is read by nobody since 2019\n",
    "services/mail/README.md": "# mail\n\nSet `cache_seconds` (seconds) in `mail.ini`; `nocache_ttl` is something else.\n",
    "services/mail/mail.ini": "[queue]\nworkers = 2\n[cache]\ncache_seconds=7200\nnocache_ttl = 7\n",
    "services/web/start.sh": '#!/bin/sh\nexport CACHE_SECONDS=300\nexec web --cache-seconds "$CACHE_SECONDS"\n',
    "services/web/web.ini": "[cache]\n; how long pages stay\ncache_seconds = 300\nsize = 100\n[server]\nport = 80\n",
    "vendor/lib/defaults.ini": "[cache]\ncache_ttl = 60\n",
}
CHANGED = [
    "docs/settings.md",
    "services/api/api.json",
    "services/api/handler.py",
    "services/mail/README.md",
    "services/mail/mail.ini",
    "services/web/start.sh",
    "services/web/web.ini",
]


def group(*paths):
    """All of these files are as they must be."""

    def check():
        for path in paths:
            same(read("/app/" + path), FILES[path], path)
        return f"{len(paths)} files are right"

    return check


run(
    {
        "ini": group("services/web/web.ini", "services/mail/mail.ini", "vendor/lib/defaults.ini"),
        "json": group("services/api/api.json", "services/legacy/old.conf"),
        "script": group("services/web/start.sh"),
        "code": group("services/api/handler.py"),
        "documents": group("services/mail/README.md", "docs/settings.md"),
        "changed": lambda: same(lines("/app/changed.txt"), CHANGED, "changed.txt"),
    }
)
