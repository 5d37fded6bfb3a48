"""Whatever a change did, its stage says so exactly, and undoing the changes newest first gives back the database."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from byleave.capability import Refused, Word
from byleave.effects import Undo
from sqlite_world import World, make_world

ACTIONS = ("cascade", "set null", "set default", "no action", "restrict")

values = st.one_of(
    st.none(),
    st.integers(-5, 5),
    st.sampled_from([2**53 + 1, -(2**63), 2**63 - 1, 0.1, -0.0, 1e300, float("inf"), float("-inf"), 3.0]),
    st.sampled_from(["", "a", "A", "\u00e9\u0301", "\U0001f600", "a\x00b", "'", "1", "\u202e"]),
    st.binary(max_size=3),
)
ids = st.integers(1, 6)


@st.composite
def schemas(draw: st.DrawFn) -> str:
    """Parents and children by every action, tables without a key or a row number, triggers that write elsewhere."""
    on_delete, on_update = draw(st.sampled_from(ACTIONS)), draw(st.sampled_from(ACTIONS))
    deferred = draw(st.sampled_from(["", " deferrable initially deferred"]))
    automatic = draw(st.sampled_from(["", " autoincrement"]))
    collate = draw(st.sampled_from(["", " collate nocase"]))
    stored = draw(st.sampled_from(["", ", g generated always as (coalesce(a, 0)) stored"]))
    parts = [
        f"create table p (id integer primary key{automatic}, a, u unique{stored});",
        "create table c (id integer primary key, p int default 1"
        f" references p(id) on delete {on_delete} on update {on_update}{deferred}, a);",
        f"create table w (k text{collate} primary key, a) without rowid;",
        "create table w2 (x, y, a, primary key (y, x)) without rowid;",
        "create table n (a, b);",
        "create table t (k text primary key, a real);",
        "create table l (id integer primary key, m);",
        "create table r (id integer primary key, a unique on conflict replace);",
    ]
    triggers = [
        "create trigger t1 after delete on p begin insert into l (m) values ('gone ' || old.id); end;",
        "create trigger t2 after update on p begin update n set b = new.a where a = old.a; end;",
        "create trigger t3 before insert on n begin delete from w where k = new.a; end;",
        "create trigger t4 after insert on c begin update p set a = coalesce(a, 0) where id = new.p; end;",
        "create trigger t5 after update of a on c begin update c set a = null where id = new.id and a = 3; end;",
        "create trigger t6 after delete on c begin insert into n (a, b) values (old.id, old.a); end;",
        "create trigger t7 before delete on w when old.a = 2 begin select raise(ignore); end;",
    ]
    chosen = draw(st.lists(st.sampled_from(triggers), unique=True, max_size=4))
    return "\n".join(parts + chosen)


changes = st.one_of(
    st.tuples(st.just("insert into p (id, a, u) values (?, ?, ?)"), st.tuples(ids, values, values)),
    st.tuples(st.just("insert into p (a, u) values (?, ?)"), st.tuples(values, values)),
    st.tuples(st.just("insert or replace into p (id, a, u) values (?, ?, ?)"), st.tuples(ids, values, values)),
    st.tuples(st.just("insert or ignore into p (id, a, u) values (?, ?, ?)"), st.tuples(ids, values, values)),
    st.tuples(
        st.just("insert into p (id, a) values (?, ?) on conflict (id) do update set a = excluded.a, u = null"),
        st.tuples(ids, values),
    ),
    st.tuples(st.just("insert into c (id, p, a) values (?, ?, ?)"), st.tuples(ids, ids, values)),
    st.tuples(st.just("insert into n (a, b) values (?, ?)"), st.tuples(values, values)),
    st.tuples(st.just("insert into n (a, b) select id, a from p"), st.just(())),
    st.tuples(st.just("insert into r (a) values (?)"), st.tuples(values)),
    st.tuples(st.just("insert or replace into w values (?, ?)"), st.tuples(st.sampled_from(["a", "A", "b"]), values)),
    st.tuples(st.just("insert or replace into w2 values (?, ?, ?)"), st.tuples(ids, ids, values)),
    st.tuples(st.just("insert or replace into t values (?, ?)"), st.tuples(st.sampled_from(["a", "b"]), values)),
    st.tuples(st.just("update p set a = ?, u = ? where id = ?"), st.tuples(values, values, ids)),
    st.tuples(st.just("update p set a = ?"), st.tuples(values)),
    st.tuples(st.just("update p set id = ? where id = ?"), st.tuples(ids, ids)),
    st.tuples(st.just("update p set id = id + 1"), st.just(())),
    st.tuples(st.just("update c set id = -id, p = ? where a is not ?"), st.tuples(ids, values)),
    st.tuples(st.just("update c set a = p.a from p where p.id = c.p"), st.just(())),
    st.tuples(
        st.just("update w set k = ?, a = 2 where k = ?"), st.tuples(st.sampled_from(["a", "A", "b", "c"]), st.just("a"))
    ),
    st.tuples(st.just("update w2 set x = y, y = x"), st.just(())),
    st.tuples(st.just("update n set a = b, b = a where a is not b"), st.just(())),
    st.tuples(st.just("delete from p where id = ?"), st.tuples(ids)),
    st.tuples(st.just("delete from p"), st.just(())),
    st.tuples(st.just("delete from c where p in (select id from p where a = ?)"), st.tuples(values)),
    st.tuples(st.just("delete from n where rowid % 2 = 0"), st.just(())),
    st.tuples(st.just("delete from w"), st.just(())),
)


def seeded(world: World, later: bool) -> World:
    """A few rows, and, with `later`, a column that older rows hold only as a default."""
    world.run("""
        insert into p (id, a, u) values (1, 1, 'x'), (2, 2.5, 'y'), (3, null, null);
        insert into c values (1, 1, 3), (2, 1, null), (3, 2, 0);
        insert into w values ('a', 1), ('b', 2);
        insert into w2 values (1, 2, 'v');
        insert into n values (1, 2), (1, 2), (null, x'00');
        insert into t values ('a', 1);
    """)
    if later:
        world.run("alter table n add column late text default 'dflt'; alter table p add column late2 real default 1;")
    return world


def by_keys(
    before: Mapping[str, Mapping[str, object]], after: Mapping[str, Mapping[str, object]]
) -> dict[str, Counter[str]]:
    """What has changed by key: the two dumps compared."""
    found: dict[str, Counter[str]] = {}
    for name in before:
        old, new = before[name], after[name]
        counts = Counter(
            create=len(new.keys() - old.keys()),
            delete=len(old.keys() - new.keys()),
            update=sum(json.dumps(old[k]) != json.dumps(new[k]) for k in old.keys() & new.keys()),
        )
        if +counts:
            found[name] = +counts
    return found


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(schemas(), st.booleans(), st.sampled_from(["delete", "wal"]), st.lists(changes, min_size=1, max_size=8))
def test_observed_is_what_differs_and_undone_newest_first_nothing_does(
    schema: str, later: bool, journal: str, statements: list[tuple[str, tuple[object, ...]]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = seeded(make_world(Path(folder), f"pragma journal_mode={journal};" + schema), later)
        done, refused = [], []
        for sql, parameters in statements:
            before = world.dump()
            try:
                observed, manifest = world.change(sql, parameters)
            except Refused as no:
                refused.append(no.word)
                assert world.dump() == before
                continue
            after = world.dump()
            counted: dict[str, Counter[str]] = {}
            for effect in observed:
                assert effect.undo is Undo.SNAPSHOT
                counted.setdefault(effect.target.name.removeprefix("app/"), Counter())[effect.verb.value] = (
                    effect.extent.amount or 0
                )
            differs = by_keys(before, after)
            assert counted.keys() == differs.keys()
            for name, counts in counted.items():
                # A row whose key changed is one update of the row; by its key it is gone, and there anew.
                moved = differs[name]["delete"] - counts["delete"]
                assert counts["create"] - counts["delete"] == differs[name]["create"] - differs[name]["delete"]
                assert moved >= 0
                if moved == 0:
                    assert +counts == differs[name]
            assert (manifest is None) == (before == after)
            if manifest is not None:
                assert world.databases.settle(manifest) == "committed"
                assert world.databases.moved_on(manifest) == ()
                done.append((manifest, before))
        assert set(refused) <= {Word.FAILED}
        for manifest, before in reversed(done):
            world.undo(manifest)
            assert world.dump() == before
            assert world.databases.settle(manifest) == "discarded"
        world.databases.close()
