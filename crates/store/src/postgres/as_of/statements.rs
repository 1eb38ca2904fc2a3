//! Complete statements about the past. The parameters always mean the same: `$1` and `$2` are revisions, `$3` is the
//! last `seq`, `$4` the APIs of the scope, `$5` the limit, and `$6` says whether an API of the scope admits
//! applications without a subscription at these revisions. Kinds are numbers, see [`management::port::Kind::number`].
//!
//! A version existed at revision R if `from_revision <= R` and `until_revision` is null or greater than R. An
//! application reached the scope at R if it had a subscription to one of its APIs, or if `$6`. A unary plus keeps
//! PostgreSQL from using an index. Rows of a delta are found by revision; the order of `seq` would make PostgreSQL scan
//! the whole table. A subquery with `LIMIT 1` instead of `EXISTS` keeps it from reading all subscriptions first.

/// The whole policy at `$2`.
pub const FULL: &str = r#"
    SELECT v.seq, octet_length(v.document) AS size FROM version v
    WHERE v.seq > $3 AND +v.from_revision <= $2 AND (v.until_revision IS NULL OR +v.until_revision > $2)
        AND ($4::text[] IS NULL AND $6::bool IS NULL AND $1::bigint IS NOT NULL)
    ORDER BY v.seq LIMIT $5"#;

/// The policy of a scope at `$2`.
pub const FULL_LIMITED: &str = r#"
    SELECT v.seq, octet_length(v.document) AS size FROM version v
    WHERE v.seq > $3 AND +v.from_revision <= $2 AND (v.until_revision IS NULL OR +v.until_revision > $2)
        AND $1::bigint IS NOT NULL
        AND (v.kind IN (5, 6)
            OR v.kind = 1 AND v.id = ANY ($4)
            OR v.kind = 4 AND v.api = ANY ($4)
            OR v.kind IN (2, 3) AND ($6 OR (
                SELECT true FROM version s
                WHERE s.application = v.application AND s.kind = 4 AND s.api = ANY ($4)
                    AND s.from_revision <= $2 AND (s.until_revision IS NULL OR s.until_revision > $2)
                LIMIT 1)))
    ORDER BY v.seq LIMIT $5"#;

/// Rows that existed at `$1` and have no successor at `$2`. A key that belongs to another application now counts as
/// another object, because other gateways may see it.
pub const REMOVED: &str = r#"
    SELECT v.seq, octet_length(v.document) AS size FROM version v
    WHERE v.until_revision > $1 AND v.until_revision <= $2 AND +v.from_revision <= $1 AND +v.seq > $3
        AND ($4::text[] IS NULL AND $6::bool IS NULL)
        AND NOT EXISTS (
            SELECT FROM version n
            WHERE n.until_revision IS NULL AND n.kind = v.kind AND n.identity = v.identity
                AND n.application IS NOT DISTINCT FROM v.application AND n.from_revision <= $2)
        AND NOT EXISTS (
            SELECT FROM version n
            WHERE n.until_revision IS NOT NULL AND n.kind = v.kind AND n.identity = v.identity
                AND n.application IS NOT DISTINCT FROM v.application
                AND n.from_revision <= $2 AND n.until_revision > $2)
    ORDER BY +v.seq LIMIT $5"#;

/// The same for a scope, including current keys and applications that no longer reach it.
pub const REMOVED_LIMITED: &str = r#"
    WITH moved (application) AS (
        SELECT application FROM version
        WHERE from_revision > $1 AND from_revision <= $2 AND kind = 4 AND api = ANY ($4)
        UNION
        SELECT application FROM version
        WHERE until_revision > $1 AND until_revision <= $2 AND kind = 4 AND api = ANY ($4))
    SELECT v.seq, octet_length(v.document) AS size FROM version v
    WHERE v.until_revision > $1 AND v.until_revision <= $2 AND +v.from_revision <= $1 AND +v.seq > $3
        AND (v.kind IN (5, 6)
            OR v.kind = 1 AND v.id = ANY ($4)
            OR v.kind = 4 AND v.api = ANY ($4)
            OR v.kind IN (2, 3) AND ($6 OR (
                SELECT true FROM version s
                WHERE s.application = v.application AND s.kind = 4 AND s.api = ANY ($4)
                    AND s.from_revision <= $1 AND (s.until_revision IS NULL OR s.until_revision > $1)
                LIMIT 1)))
        AND NOT EXISTS (
            SELECT FROM version n
            WHERE n.until_revision IS NULL AND n.kind = v.kind AND n.identity = v.identity
                AND n.application IS NOT DISTINCT FROM v.application AND n.from_revision <= $2)
        AND NOT EXISTS (
            SELECT FROM version n
            WHERE n.until_revision IS NOT NULL AND n.kind = v.kind AND n.identity = v.identity
                AND n.application IS NOT DISTINCT FROM v.application
                AND n.from_revision <= $2 AND n.until_revision > $2)
    UNION
    SELECT v.seq, octet_length(v.document) FROM version v
    WHERE +v.seq > $3 AND v.kind IN (2, 3) AND v.application IN (SELECT application FROM moved) AND NOT $6
        AND v.from_revision <= $1 AND (v.until_revision IS NULL OR v.until_revision > $1)
        AND (SELECT true FROM version s
            WHERE s.application = v.application AND s.kind = 4 AND s.api = ANY ($4)
                AND s.from_revision <= $1 AND (s.until_revision IS NULL OR s.until_revision > $1)
            LIMIT 1)
        AND (SELECT true FROM version s
            WHERE s.application = v.application AND s.kind = 4 AND s.api = ANY ($4)
                AND s.from_revision <= $2 AND (s.until_revision IS NULL OR s.until_revision > $2)
            LIMIT 1) IS NULL
    ORDER BY seq LIMIT $5"#;

/// Rows that exist at `$2` and did not at `$1`. `seq` increases with the revision, so the scan starts at the first
/// version after `$1`. If there is none, nothing is found.
pub const CHANGED: &str = r#"
    SELECT v.seq, octet_length(v.document) AS size FROM version v
    WHERE v.seq >= (
            SELECT greatest($3 + 1, seq) FROM version
            WHERE from_revision > $1 ORDER BY from_revision, seq LIMIT 1)
        AND +v.from_revision > $1 AND +v.from_revision <= $2
        AND (v.until_revision IS NULL OR +v.until_revision > $2)
        AND ($4::text[] IS NULL AND $6::bool IS NULL)
    ORDER BY v.seq LIMIT $5"#;

/// The same for a scope, including older keys and applications that did not reach it before.
pub const CHANGED_LIMITED: &str = r#"
    WITH moved (application) AS (
        SELECT application FROM version
        WHERE from_revision > $1 AND from_revision <= $2 AND kind = 4 AND api = ANY ($4)
        UNION
        SELECT application FROM version
        WHERE until_revision > $1 AND until_revision <= $2 AND kind = 4 AND api = ANY ($4))
    SELECT v.seq, octet_length(v.document) AS size FROM version v
    WHERE v.seq >= (
            SELECT greatest($3 + 1, seq) FROM version
            WHERE from_revision > $1 ORDER BY from_revision, seq LIMIT 1)
        AND +v.from_revision > $1 AND +v.from_revision <= $2
        AND (v.until_revision IS NULL OR +v.until_revision > $2)
        AND (v.kind IN (5, 6)
            OR v.kind = 1 AND v.id = ANY ($4)
            OR v.kind = 4 AND v.api = ANY ($4)
            OR v.kind IN (2, 3) AND ($6 OR (
                SELECT true FROM version s
                WHERE s.application = v.application AND s.kind = 4 AND s.api = ANY ($4)
                    AND s.from_revision <= $2 AND (s.until_revision IS NULL OR s.until_revision > $2)
                LIMIT 1)))
    UNION
    SELECT v.seq, octet_length(v.document) FROM version v
    WHERE +v.seq > $3 AND v.kind IN (2, 3) AND v.application IN (SELECT application FROM moved) AND NOT $6
        AND v.from_revision <= $1 AND (v.until_revision IS NULL OR v.until_revision > $2)
        AND (SELECT true FROM version s
            WHERE s.application = v.application AND s.kind = 4 AND s.api = ANY ($4)
                AND s.from_revision <= $2 AND (s.until_revision IS NULL OR s.until_revision > $2)
            LIMIT 1)
        AND (SELECT true FROM version s
            WHERE s.application = v.application AND s.kind = 4 AND s.api = ANY ($4)
                AND s.from_revision <= $1 AND (s.until_revision IS NULL OR s.until_revision > $1)
            LIMIT 1) IS NULL
    ORDER BY seq LIMIT $5"#;

/// Whether an API of the scope admitted applications without a subscription, at `$1` and at `$2`.
pub const OPEN: &str = r#"
    SELECT
        coalesce(bool_or(a.from_revision <= $1 AND (a.until_revision IS NULL OR a.until_revision > $1)), false),
        coalesce(bool_or(a.from_revision <= $2 AND (a.until_revision IS NULL OR a.until_revision > $2)), false)
    FROM version a
    WHERE a.kind = 1 AND a.identity = ANY ($3) AND a.document::jsonb -> 'subscription_required' = 'false'
        AND (a.until_revision IS NULL OR a.until_revision IS NOT NULL AND a.until_revision > least($1, $2))"#;

/// The documents of the versions `$1`, as one text for each kind.
pub const DOCUMENTS: &str = r#"
    SELECT
        string_agg(document, chr(10) ORDER BY seq) FILTER (WHERE kind = 1) AS apis,
        string_agg(document, chr(10) ORDER BY seq) FILTER (WHERE kind = 2) AS applications,
        string_agg(document, chr(10) ORDER BY seq) FILTER (WHERE kind = 3) AS keys,
        string_agg(document, chr(10) ORDER BY seq) FILTER (WHERE kind = 4) AS subscriptions,
        string_agg(document, chr(10) ORDER BY seq) FILTER (WHERE kind = 5) AS plans,
        string_agg(document, chr(10) ORDER BY seq) FILTER (WHERE kind = 6) AS deny_policies
    FROM version WHERE seq = ANY ($1)"#;

/// The document of kind `$1` with the name `$3` in the feed at revision `$2`.
pub const DOCUMENT_AT: &str = r#"
    SELECT document FROM version
    WHERE until_revision IS NULL AND kind = $1 AND identity = $3 AND from_revision <= $2
    UNION ALL
    SELECT document FROM version
    WHERE until_revision IS NOT NULL AND kind = $1 AND identity = $3 AND from_revision <= $2 AND until_revision > $2"#;
