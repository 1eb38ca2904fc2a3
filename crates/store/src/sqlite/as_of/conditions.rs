//! Conditions for statements about the past, as pieces of SQL.
//!
//! They are macros because sqlx needs constant statements, and the same condition applies to two revisions and several
//! tables. The parameters always mean the same: `?1` and `?2` are revisions, `?3` is the last `seq`, `?4` the APIs of
//! the scope as a JSON array, `?5` the limit. Kinds are numbers, see [`management::port::Kind::number`].

/// A version existed at revision `at`. The unary plus makes SQLite read in the order of `seq`.
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

/// An API of the scope admitted applications without a subscription at revision `$at`. Current and past versions have
/// separate conditions, because each has its own index.
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

/// An application reached an API of the scope at revision `$at`: it was subscribed to one, or one needs no
/// subscription.
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

/// A version is in the scope at revision `$at`. Plans and deny policies always are.
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

/// The same object exists at revision `?2`. A key that belongs to another application now counts as another object,
/// because other gateways may see it.
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

/// A version came after revision `?1` and after position `?3`, as one bound on `seq`, which increases with the
/// revision. Given two bounds, SQLite may choose the wrong one and read the whole table.
macro_rules! came_since {
    () => {
        concat!(
            "seq >= max(?3 + 1, (SELECT seq FROM version WHERE from_revision > ?1 ORDER BY from_revision, seq LIMIT 1))",
            " AND +from_revision > ?1"
        )
    };
}

/// The applications that subscribed to an API of the scope, or stopped, between `?1` and `?2`.
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
