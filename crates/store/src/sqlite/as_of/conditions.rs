//! The conditions that statements on the past are made of, as pieces of SQL.
//!
//! They are macros because SQLite's statements have to be constant text, and the same condition is asked of two revisions
//! and several tables. Parameters are the same everywhere: `?1` and `?2` are revisions, `?3` the `seq` to go on from, `?4`
//! the APIs of the scope as a JSON array, `?5` the limit. Kinds stand as numbers, see [`management::port::Kind::number`].

/// The condition that a version held at revision `at`. The unary plus keeps SQLite from leaving the order of `seq`.
macro_rules! held {
    ($table:literal, $at:literal) => {
        concat!(
            "(+",
            $table,
            ".from_revision <= ",
            $at,
            " AND (",
            $table,
            ".until_revision IS NULL OR ",
            $table,
            ".until_revision > ",
            $at,
            "))"
        )
    };
}

/// The condition that an API of the scope let in applications without a subscription at revision `$at`. What holds and
/// what held are asked for apart, because each has its own index.
macro_rules! open {
    ($at:literal) => {
        concat!(
            "(EXISTS (SELECT 1 FROM version a WHERE a.kind = 1 AND a.identity IN (SELECT value FROM json_each(?4))",
            " AND a.until_revision IS NULL AND +a.from_revision <= ",
            $at,
            " AND json_extract(a.document, '$.subscription_required') = 0)",
            " OR EXISTS (SELECT 1 FROM version a WHERE a.kind = 1 AND a.identity IN (SELECT value FROM json_each(?4))",
            " AND a.until_revision IS NOT NULL AND +a.until_revision > ",
            $at,
            " AND +a.from_revision <= ",
            $at,
            " AND json_extract(a.document, '$.subscription_required') = 0))"
        )
    };
}

/// The condition that an application reached an API of the scope at revision `$at`: it was subscribed to one, or one
/// asks for no subscription.
macro_rules! reached {
    ($application:literal, $at:literal) => {
        concat!(
            "(EXISTS (SELECT 1 FROM version s WHERE s.application = ",
            $application,
            " AND s.kind = 4",
            " AND s.api IN (SELECT value FROM json_each(?4)) AND ",
            held!("s", $at),
            ")",
            " OR ",
            open!($at),
            ")"
        )
    };
}

/// The condition that a version is within the scope at revision `$at`. Plans and deny policies always are.
macro_rules! in_scope {
    ($at:literal) => {
        concat!(
            "(v.kind IN (5, 6) OR (v.kind = 1 AND v.id IN (SELECT value FROM json_each(?4)))",
            " OR (v.kind = 4 AND v.api IN (SELECT value FROM json_each(?4)))",
            " OR (v.kind IN (2, 3) AND ",
            reached!("v.application", $at),
            "))"
        )
    };
}

/// The condition that the same thing holds at revision `?2`. A key that now belongs to another application is another
/// thing: who sees it may have changed.
macro_rules! succeeded {
    () => {
        concat!(
            "(EXISTS (SELECT 1 FROM version n WHERE n.kind = v.kind AND n.identity = v.identity",
            " AND n.application IS v.application AND n.until_revision IS NULL AND n.from_revision <= ?2)",
            " OR EXISTS (SELECT 1 FROM version n WHERE n.kind = v.kind AND n.identity = v.identity",
            " AND n.application IS v.application AND n.until_revision IS NOT NULL AND ",
            held!("n", "?2"),
            "))"
        )
    };
}

/// The condition that a version came after revision `?1` and after the place `?3`, as one bound on `seq`, which rises with
/// the revision: of two bounds SQLite may take the wrong one and read the whole table.
macro_rules! came_since {
    () => {
        concat!(
            "seq >= max(?3 + 1, (SELECT seq FROM version WHERE from_revision > ?1 ORDER BY from_revision, seq LIMIT 1))",
            " AND +from_revision > ?1"
        )
    };
}

/// The table of applications that subscribed to an API of the scope, or ceased to, between `?1` and `?2`.
macro_rules! moved {
    () => {
        concat!(
            "moved (application) AS (",
            "SELECT application FROM version WHERE from_revision > ?1 AND from_revision <= ?2",
            " AND +kind = 4 AND +api IN (SELECT value FROM json_each(?4))",
            " UNION SELECT application FROM version WHERE until_revision > ?1 AND until_revision <= ?2",
            " AND +kind = 4 AND +api IN (SELECT value FROM json_each(?4)))"
        )
    };
}
