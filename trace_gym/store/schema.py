"""The tables of a run, and the version they are of. Leaves out how rows become objects: that is `rows`.

Turns keep their long columns last, so that sums over costs need not read them. A view, `trees`, is
derived for whoever looks at a run with SQL alone. A run of an older version opens as it is to be read, and
gets what `SINCE` adds once it is written to.
"""

from __future__ import annotations

from dataclasses import fields

from trace_gym.core.budget import Cost

SCHEMA_VERSION = 4
"""Kept in the file's `user_version`."""

OLDEST_VERSION = 1
"""Runs of this version and newer ones are opened."""

APPLICATION_ID = 0x54524143
"""Kept in the file's `application_id`: the letters TRAC."""

COST = tuple(field.name for field in fields(Cost))
"""The cost columns of a turn, in the order of `Cost`."""

TURN = (
    *("step", "tree", "node", "parent", "rollout", "actor", "policy_version"),
    *("reward", "terminated", "truncated", *COST, "digest", "context_of"),
    *("action", "text", "observation", "context_ids", "action_ids", "logprobs", "entropy", "hidden"),
)
"""The columns of a turn in the order of the table. `context_of` names the sibling whose `context_ids` are the
same; the turn's own are then NULL."""

VERDICT = ("step", "tree", "node", "position", "name", "status", "score", "weight", "required", "evidence")

_RUN = (
    """CREATE TABLE meta (
      name TEXT PRIMARY KEY,
      value TEXT NOT NULL -- JSON
    ) WITHOUT ROWID""",
    """CREATE TABLE metrics (
      step INTEGER NOT NULL, name TEXT NOT NULL,
      value TEXT NOT NULL, -- JSON
      PRIMARY KEY (step, name)
    ) WITHOUT ROWID""",
    """CREATE TABLE checkpoints (
      version INTEGER PRIMARY KEY, step INTEGER NOT NULL,
      path TEXT NOT NULL, -- relative to the run folder where it lies inside
      at REAL NOT NULL
    )""",
    """CREATE TABLE log (
      number INTEGER PRIMARY KEY, at REAL NOT NULL, level TEXT NOT NULL, message TEXT NOT NULL
    )""",
    """CREATE TABLE accesses (
      number INTEGER PRIMARY KEY, at REAL NOT NULL, suite TEXT NOT NULL,
      tasks TEXT NOT NULL, -- JSON: the keys of the held-out tasks that were used
      purpose TEXT NOT NULL
    )""",
)

_STEP = (
    """CREATE TABLE tasks (
      digest BLOB PRIMARY KEY, task TEXT NOT NULL, suite TEXT NOT NULL, split TEXT NOT NULL,
      family TEXT NOT NULL, subset TEXT NOT NULL,
      record TEXT NOT NULL -- JSON: the whole task
    ) WITHOUT ROWID""",
    """CREATE TABLE steps (
      step INTEGER PRIMARY KEY, opened_at REAL NOT NULL, closed_at REAL
    )""",
    """CREATE TABLE candidates (
      step INTEGER NOT NULL REFERENCES steps, number INTEGER NOT NULL,
      digest BLOB NOT NULL REFERENCES tasks,
      task TEXT NOT NULL, suite TEXT NOT NULL, family TEXT NOT NULL, max_turns INTEGER NOT NULL,
      mean REAL, concentration REAL, tokens REAL, turns REAL, -- the prediction, if there was one
      PRIMARY KEY (step, number)
    ) WITHOUT ROWID""",
    """CREATE TABLE grants (
      step INTEGER NOT NULL REFERENCES steps, number INTEGER NOT NULL,
      event INTEGER, -- the event it answers, NULL for the proposal
      position INTEGER NOT NULL, tree INTEGER NOT NULL, node INTEGER NOT NULL, count INTEGER NOT NULL,
      propensity REAL NOT NULL, reason TEXT NOT NULL,
      PRIMARY KEY (step, number)
    ) WITHOUT ROWID""",
    """CREATE TABLE cancels (
      step INTEGER NOT NULL, event INTEGER NOT NULL, position INTEGER NOT NULL,
      cancelled INTEGER NOT NULL, -- a grant
      PRIMARY KEY (step, event, position)
    ) WITHOUT ROWID""",
    """CREATE TABLE events (
      step INTEGER NOT NULL REFERENCES steps, number INTEGER NOT NULL,
      kind TEXT NOT NULL, -- turn, episode, failed
      tree INTEGER NOT NULL, rollout INTEGER, node INTEGER, failed INTEGER, -- a grant
      cause TEXT, extent_turns INTEGER NOT NULL, extent_rollouts INTEGER NOT NULL,
      PRIMARY KEY (step, number)
    ) WITHOUT ROWID""",
    """CREATE UNIQUE INDEX event_once ON events (step, kind, tree, rollout, COALESCE(node, -1))
      WHERE rollout IS NOT NULL""",
    """CREATE TABLE predictions (
      step INTEGER NOT NULL, event INTEGER NOT NULL, position INTEGER NOT NULL, node INTEGER NOT NULL,
      mean REAL NOT NULL, concentration REAL NOT NULL, tokens REAL, turns REAL,
      PRIMARY KEY (step, event, position)
    ) WITHOUT ROWID""",
)

_TREE = (
    """CREATE TABLE rollouts (
      step INTEGER NOT NULL, tree INTEGER NOT NULL, number INTEGER NOT NULL,
      granted INTEGER NOT NULL, -- a grant
      anchor INTEGER NOT NULL,
      tip INTEGER, stop TEXT, failure TEXT, -- NULL while it runs
      detail TEXT NOT NULL DEFAULT '',
      PRIMARY KEY (step, tree, number),
      FOREIGN KEY (step, tree) REFERENCES candidates (step, number),
      FOREIGN KEY (step, granted) REFERENCES grants (step, number)
    ) WITHOUT ROWID""",
    """CREATE TABLE turns (
      step INTEGER NOT NULL, tree INTEGER NOT NULL, node INTEGER NOT NULL,
      parent INTEGER, rollout INTEGER, -- NULL for the root
      actor TEXT NOT NULL, policy_version INTEGER,
      reward REAL NOT NULL, terminated INTEGER NOT NULL, truncated INTEGER NOT NULL,
      trajectories INTEGER NOT NULL, fresh INTEGER NOT NULL, cached INTEGER NOT NULL,
      decoded INTEGER NOT NULL, steps INTEGER NOT NULL,
      model_seconds REAL NOT NULL, env_seconds REAL NOT NULL, usd REAL NOT NULL,
      digest TEXT NOT NULL, context_of INTEGER,
      action TEXT, -- JSON
      text TEXT NOT NULL, observation TEXT NOT NULL,
      context_ids BLOB, action_ids BLOB NOT NULL, -- little-endian int32
      logprobs BLOB NOT NULL, entropy BLOB NOT NULL, -- little-endian float32
      hidden BLOB, -- as meta.hidden says
      PRIMARY KEY (step, tree, node),
      FOREIGN KEY (step, tree) REFERENCES candidates (step, number),
      FOREIGN KEY (step, tree, parent) REFERENCES turns (step, tree, node),
      FOREIGN KEY (step, tree, rollout) REFERENCES rollouts (step, tree, number)
    )""",
    """CREATE TABLE verdicts (
      step INTEGER NOT NULL, tree INTEGER NOT NULL, node INTEGER NOT NULL, position INTEGER NOT NULL,
      name TEXT NOT NULL, status TEXT NOT NULL, score REAL NOT NULL, weight REAL NOT NULL,
      required INTEGER NOT NULL, evidence TEXT NOT NULL,
      PRIMARY KEY (step, tree, node, position)
    ) WITHOUT ROWID""",
    """CREATE TRIGGER turns_in_order BEFORE INSERT ON turns
      WHEN NEW.node > 0 AND NOT EXISTS (
        SELECT 1 FROM turns WHERE step = NEW.step AND tree = NEW.tree AND node = NEW.node - 1)
      BEGIN SELECT RAISE(ABORT, 'the node before it is missing'); END""",
    """CREATE TRIGGER rollouts_in_order BEFORE INSERT ON rollouts
      WHEN NEW.number > 0 AND NOT EXISTS (
        SELECT 1 FROM rollouts WHERE step = NEW.step AND tree = NEW.tree AND number = NEW.number - 1)
      BEGIN SELECT RAISE(ABORT, 'the rollout before it is missing'); END""",
    """CREATE VIEW trees AS
      SELECT r.step, r.tree, c.task, c.suite, c.family,
        COUNT(*) AS rollouts, SUM(r.anchor = 0) AS bare,
        SUM(r.stop IS NULL) AS running, SUM(r.stop = 'invalid') AS invalid,
        SUM(r.stop = 'censored') AS censored
      FROM rollouts r JOIN candidates c ON c.step = r.step AND c.number = r.tree
      GROUP BY r.step, r.tree""",
)

_SEEN = (
    """CREATE TABLE spans ( -- when turns were played, by whom, and how long their parts took
      step INTEGER NOT NULL, tree INTEGER NOT NULL, node INTEGER NOT NULL,
      ended_at REAL NOT NULL, -- seconds since the epoch
      worker TEXT NOT NULL, entered REAL NOT NULL, acted REAL NOT NULL, stepped REAL NOT NULL, -- seconds
      PRIMARY KEY (step, tree, node),
      FOREIGN KEY (step, tree, node) REFERENCES turns (step, tree, node)
    ) WITHOUT ROWID""",
    """CREATE INDEX spans_in_time ON spans (step, ended_at)""",
    """CREATE TABLE pictures (
      step INTEGER NOT NULL, tree INTEGER NOT NULL, node INTEGER NOT NULL,
      png BLOB NOT NULL,
      PRIMARY KEY (step, tree, node),
      FOREIGN KEY (step, tree, node) REFERENCES turns (step, tree, node)
    )""",
)

_CUT = (
    """CREATE TABLE cuts ( -- what the scheduler gave up
      step INTEGER NOT NULL, event INTEGER NOT NULL, position INTEGER NOT NULL,
      tree INTEGER NOT NULL, rollout INTEGER NOT NULL,
      worth REAL NOT NULL, -- its success as predicted
      PRIMARY KEY (step, tree, rollout)
    ) WITHOUT ROWID""",
)

_SHOWN = (
    """CREATE TABLE shown ( -- grants that the oracle plays
      step INTEGER NOT NULL, number INTEGER NOT NULL,
      PRIMARY KEY (step, number)
    ) WITHOUT ROWID""",
)

STATEMENTS = (*_RUN, *_STEP, *_TREE, *_SEEN, *_CUT, *_SHOWN)
"""What makes an empty file a run's file, in order."""

SINCE = {2: _SEEN, 3: _CUT, 4: _SHOWN}
"""What each version added to the one before it."""
