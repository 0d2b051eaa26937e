"""The tables, which the files in `migrations` make.

Inside, a run is a number, and a node is its place in the plan: long names are stored once.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from opsflow.journal.columns import Instant, Json, Packed, Word
from opsflow.model import Asked, AttemptState, NodeState, Phase, RunState

HEAD = "0006"
"""Version of this schema: the newest file in `migrations/versions`. Versions sort as text."""

VERSION_TABLE = "journal_version"

_KEY = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers only INTEGER keys by itself

metadata = MetaData()

runs = Table(
    "runs",
    metadata,
    Column("key", _KEY, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("state", Word(RunState), nullable=False),
    Column("playbook", Text, nullable=False),
    Column("inventory", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("command", String(255), nullable=False),
    Column("operator", String(255), nullable=False),
    Column("started", Instant, nullable=False),
    Column("finished", Instant),
    Column("exit_code", Integer),
    Column("hosts", Packed, nullable=False),  # packed list: what the run holds while it is open
)

owners = Table(
    "owners",  # of each run, who writes it; a NULL token: nobody
    metadata,
    Column("run", _KEY, ForeignKey("runs.key"), primary_key=True, autoincrement=False),
    Column("epoch", Integer, nullable=False),  # grows whenever the run changes hands
    Column("serial", BigInteger, nullable=False),  # number of commits
    Column("token", String(64)),
    Column("operator", String(255), nullable=False),
    Column("machine", String(255), nullable=False),
    Column("boot", String(64), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("pid_started", String(32), nullable=False),
    Column("beat", BigInteger, nullable=False),  # by the database's clock
)

leases = Table(
    "leases",
    metadata,
    Column("host", String(255), primary_key=True),
    Column("run", _KEY, ForeignKey("runs.key"), nullable=False),
)

plans = Table(
    "plans",  # the packed plan, cut so that no piece is too long for a packet
    metadata,
    Column("run", _KEY, ForeignKey("runs.key"), primary_key=True, autoincrement=False),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("data", Packed, nullable=False),
)

later_plans = Table(
    "later_plans",  # plans that took the place of the first one, whole, each in pieces as that one
    metadata,
    Column("run", _KEY, ForeignKey("runs.key"), primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("operator", String(255), nullable=False),
    Column("data", Packed, nullable=False),
)

nodes = Table(
    "nodes",
    metadata,
    Column("run", _KEY, ForeignKey("runs.key"), primary_key=True, autoincrement=False),
    Column("n", Integer, primary_key=True, autoincrement=False),  # place in the plan; what joined later comes later
    Column("id", Text, nullable=False),
    Column("step", String(255), nullable=False),
    Column("host", String(255), nullable=False),
    Column("task", String(255), nullable=False),
    Column("state", Word(NodeState), nullable=False),
    Column("outputs", Json),
    Column("error", Json),
)

attempts = Table(
    "attempts",
    metadata,
    Column("key", _KEY, primary_key=True, autoincrement=True),  # the order in which they began
    Column("run", _KEY, nullable=False),
    Column("node", Integer, nullable=False),
    Column("phase", Word(Phase), nullable=False),
    Column("n", Integer, nullable=False),
    Column("undoes", Integer),
    Column("state", Word(AttemptState), nullable=False),
    Column("started", Instant, nullable=False),
    Column("finished", Instant),
    Column("exit_status", Integer),
    Column("machine", Text, nullable=False),
    Column("params", Json, nullable=False),
    Column("preview", Json, nullable=False),
    Column("outputs", Json),
    Column("error", Json),
    Column("turn", Json),  # what retry.vary gave it
    Column("plan", Integer, nullable=False, server_default="0"),  # number of the plan that it follows
    Column("on_host", String(255), nullable=False, server_default=""),  # where it was done, if not on the node's host
    UniqueConstraint("run", "node", "phase", "n", name="attempts_of_node"),
    ForeignKeyConstraint(["run", "node"], ["nodes.run", "nodes.n"]),
)

printed = Table(
    "printed",  # what attempts printed: UTF-8, for not every database's text takes every character
    metadata,
    Column("run", _KEY, ForeignKey("runs.key"), primary_key=True, autoincrement=False),
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("node", Integer, nullable=False),
    Column("phase", Word(Phase), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("stream", String(20), nullable=False),
    Column("at", Instant, nullable=False),
    Column("text", Packed, nullable=False),
    Column("cut", BigInteger, nullable=False, server_default="0"),  # bytes that were left out just before the text
    UniqueConstraint("run", "node", "n", name="printed_by_node"),
)

rollbacks = Table(
    "rollbacks",
    metadata,
    Column("key", _KEY, primary_key=True, autoincrement=True),
    Column("run", _KEY, ForeignKey("runs.key"), nullable=False),
    Column("id", String(512), nullable=False),
    Column("scope", Text, nullable=False),
    Column("nodes", Packed, nullable=False),  # packed list of ids
    Column("started", Instant, nullable=False),
    Column("finished", Instant),
    Column("complete", Boolean(create_constraint=False)),
    UniqueConstraint("run", "id", name="rollbacks_of_run"),
)

requests = Table(
    "requests",  # what operators ask of whoever writes a run, and what became of it
    metadata,
    Column("key", _KEY, primary_key=True, autoincrement=True),
    Column("run", _KEY, ForeignKey("runs.key"), nullable=False),
    Column("epoch", Integer, nullable=False),  # of the writer that is asked: a later one is not meant
    Column("what", Word(Asked), nullable=False),
    Column("operator", String(255), nullable=False),
    Column("at", Instant, nullable=False),  # this and the next by the database's clock
    Column("applied", Instant),
    Column("data", Json, nullable=False),
    Column("answer", Json),
    UniqueConstraint("run", "key", name="requests_of_run"),
)
