"""All configured databases, under the names that the policy gives them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from byleave.capability import Parameters, Refused, Rows, SqlReading, SqlView, Statement, Word, WouldBlock
from byleave.effects import Effect, Plan, printable
from byleave.hands.secret import SecretUnavailable, resolve_url
from byleave.hands.sql.engine import Engine
from byleave.hands.sql.sqlite.engine import Sqlite
from byleave.hands.sql.sqlite.place import place_of
from byleave.hands.stage import Keeper, Order, Settled, Stage


class Databases:
    """Makes views, readings and stages over the databases of one policy."""

    def __init__(self, engines: Mapping[str, Engine], troubles: Mapping[str, str]) -> None:
        self._engines = dict(engines)
        #: Databases that the policy names and that cannot be had, and why: refused when asked for, told by the doctor.
        self.troubles = dict(troubles)

    @classmethod
    def open(
        cls,
        urls: Mapping[str, str],
        *,
        workspace: Path,
        forbidden: tuple[str, ...],
        keeper: Keeper | None,
        environ: Mapping[str, str],
    ) -> Databases:
        """Resolve every `url`. `forbidden` are folders in which no database may lie (the state directory).

        Nothing is opened yet. A database that cannot be resolved keeps no other away. May block on `command:`.
        """
        engines: dict[str, Engine] = {}
        troubles: dict[str, str] = {}
        for name, url in urls.items():
            try:
                engines[name] = _engine(
                    name, resolve_url(url, environ=environ, folder=workspace), workspace, forbidden, keeper
                )
            except (SecretUnavailable, ValueError) as error:
                troubles[name] = str(error)
        return cls(engines, troubles)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._engines)

    @property
    def files(self) -> tuple[str, ...]:
        """Every file of every database on this machine, absolute: no other tool may touch them."""
        return tuple(file for engine in self._engines.values() for file in engine.files)

    def view(self, *, warm: bool = False) -> SqlView:
        return _View(self, warm=warm)

    def reading(self) -> Stage:
        return Reading(self)

    def stage(self, plan: Plan, call: str = "") -> Stage:
        """A stage for one statement; which database it is over, the plan's changes say."""
        del call
        names = {effect.target.name.partition("/")[0] for effect in plan.effects}
        if len(names) != 1:
            raise Refused(
                Word.DENIED, "a change of more than one database", "send one call for each", rule="sql.one-database"
            )
        return self.engine(names.pop()).stage(plan)

    def reverse(self, manifest: Mapping[str, object]) -> Stage:
        return self._of(manifest).reverse(manifest)

    def moved_on(self, manifest: Mapping[str, object]) -> tuple[str, ...]:
        return self._of(manifest).moved_on(manifest)

    def settle(self, manifest: Mapping[str, object]) -> Settled:
        try:
            return self._of(manifest).settle(manifest)
        except Refused:
            return Settled.UNKNOWN

    def close(self) -> None:
        for engine in self._engines.values():
            engine.close()

    def engine(self, name: str) -> Engine:
        """Raises `Refused(NOT_FOUND)` with the names that there are."""
        found = self._engines.get(name)
        if found is not None:
            return found
        if name in self.troubles:
            raise Refused(
                Word.FAILED,
                f"database `{printable(name)}`: {self.troubles[name]}",
                "ask a person to look at the policy",
            )
        known = ", ".join(f"`{printable(n)}`" for n in self._engines) or "none"
        raise Refused(Word.NOT_FOUND, f"no database `{printable(name)[:60]}`", f"the policy names {known}")

    def _of(self, manifest: Mapping[str, object]) -> Engine:
        return self.engine(str(manifest.get("database")))


def _engine(name: str, url: str, workspace: Path, forbidden: tuple[str, ...], keeper: Keeper | None) -> Engine:
    scheme = url.partition(":")[0].partition("+")[0].lower()
    if scheme == "sqlite":
        return Sqlite(place_of(name, url, workspace=workspace, forbidden=forbidden), keeper)
    raise ValueError(f"no engine for `{printable(scheme)[:20]}:`. there is `sqlite:`")


class _View:
    """Classifies statements. A database is never in warm caches only: a warm view sends the call to a worker thread."""

    def __init__(self, databases: Databases, *, warm: bool) -> None:
        self._databases = databases
        self._warm = warm

    async def query(self, database: str, sql: str, parameters: Parameters) -> Statement:
        return self._survey(database, sql, parameters, change=False)

    async def change(self, database: str, sql: str, parameters: Parameters) -> Statement:
        return self._survey(database, sql, parameters, change=True)

    def _survey(self, database: str, sql: str, parameters: Parameters, *, change: bool) -> Statement:
        if self._warm:
            raise WouldBlock
        return self._databases.engine(database).survey(sql, parameters, change=change)


class Reading(SqlReading):
    """A stage that reads and commits nothing."""

    order = Order.RESTORABLE

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self._read: tuple[Effect, ...] = ()

    @property
    def hands(self) -> object:
        return self

    async def rows(self, statement: Statement, limit: int, offset: int) -> Rows:
        self._read += statement.effects
        return self._databases.engine(statement.database).rows(statement, limit, offset)

    def observe(self) -> tuple[Effect, ...]:
        return self._read

    def hold(self) -> None:
        return None

    def commit(self) -> None:
        """There is nothing to count."""

    def discard(self) -> None:
        """There is nothing to take back."""

    def release(self) -> bool:
        return True
