//! Which rows a caller sees: conditions for lists, look-ups and usage. The rules decide what a caller sees.

use async_trait::async_trait;
use sqlx::{QueryBuilder, Row as _, Sqlite, SqliteConnection};

use super::{SqliteStore, fault::Fault};
use management::port::{
    Error, Kind,
    places::Place,
    sight::{Reach, Sight, Sights},
};

#[async_trait]
impl Sights for SqliteStore {
    async fn sees(&self, kind: Kind, id: &str, sight: &Sight) -> Result<bool, Error> {
        Ok(sees(&mut *self.reader().await?, kind, id, sight).await?)
    }
}

/// Whether the row of `kind` with this id exists and is within `sight`.
pub async fn sees(connection: &mut SqliteConnection, kind: Kind, id: &str, sight: &Sight) -> Result<bool, Fault> {
    let mut query = QueryBuilder::new("SELECT EXISTS (SELECT 1 FROM listed l WHERE l.kind = ");
    query.push_bind(kind.number()).push(" AND l.id = ").push_bind(id);
    restrict(&mut query, kind, sight);
    query.push(")");
    Ok(query.build_query_scalar().fetch_one(connection).await?)
}

/// The places of all APIs of other owners.
pub async fn places_of_others(connection: &mut SqliteConnection, owner: &str) -> Result<Vec<(String, Place)>, Fault> {
    let statement = "SELECT m.api, m.host, m.path FROM api_match m JOIN listed l ON l.kind = 1 AND l.id = m.api \
                     WHERE l.owner IS NOT ?";
    let rows = sqlx::query(statement).bind(owner).fetch_all(connection).await?;
    let place = |row: &sqlx::sqlite::SqliteRow| {
        Ok((row.try_get("api")?, Place { host: row.try_get("host")?, path: row.try_get("path")? }))
    };
    rows.iter().map(place).collect()
}

/// Adds the condition that the row `l` of `listed` is within `sight`. A single reason is added without OR, so that
/// SQLite starts with the rows that it names.
pub(super) fn restrict<'q>(query: &mut QueryBuilder<'q, Sqlite>, kind: Kind, sight: &'q Sight) {
    let Sight::Only(reaches) = sight else { return };
    query.push(" AND (");
    for (number, reach) in reaches.iter().enumerate() {
        if number > 0 {
            query.push(" OR ");
        }
        reached(query, kind, reach);
    }
    if reaches.is_empty() {
        query.push("false");
    }
    query.push(")");
}

fn reached<'q>(query: &mut QueryBuilder<'q, Sqlite>, kind: Kind, reach: &'q Reach) {
    match reach {
        Reach::Own(owner) if matches!(kind, Kind::Key | Kind::Subscription) => {
            query.push("l.id IN (SELECT v.id FROM listed a INDEXED BY listed_by_owner CROSS JOIN version v ");
            query.push("ON v.application = a.id AND v.until_revision IS NULL AND v.kind = ").push_bind(kind.number());
            query.push(" WHERE a.kind = 2 AND v.kept_block IS NULL AND a.owner = ").push_bind(owner);
            query.push(" UNION ALL SELECT id FROM version WHERE until_revision IS NULL AND kind = ");
            query.push_bind(kind.number()).push(" AND kept_owner = ").push_bind(owner).push(")");
        }
        Reach::Own(owner) => {
            query.push("l.owner = ").push_bind(owner);
        }
        // Only rows of subscriptions have an API.
        Reach::ToApisOf(owner) => {
            query
                .push("l.api IN (SELECT a.id FROM listed a INDEXED BY listed_by_owner WHERE a.kind = 1 AND a.owner = ");
            query.push_bind(owner).push(")");
        }
        Reach::Owned => {
            query.push("l.owner IS NOT NULL");
        }
        Reach::OwnedIn(state) => {
            query.push("(l.owner IS NOT NULL AND l.state = ").push_bind(*state).push(")");
        }
    }
}

/// Adds the condition that a row of usage is within `sight`. A single reason is added without OR, so that the database starts
/// with the rows that it names. If an application was deleted and created again with its id, the new owner does not see the
/// earlier usage.
pub(super) fn restrict_usage<'q>(query: &mut QueryBuilder<'q, Sqlite>, sight: &'q Sight) {
    let Sight::Only(reaches) = sight else { return };
    query.push(" AND ");
    for (number, reach) in reaches.iter().enumerate() {
        query.push(if number > 0 {
            " OR "
        } else if reaches.len() > 1 {
            "("
        } else {
            ""
        });
        match reach {
            Reach::Own(owner) => {
                query
                    .push(
                        "application IN (SELECT id FROM listed INDEXED BY listed_by_owner WHERE kind = 2 AND owner = ",
                    )
                    .push_bind(owner);
                query.push(") AND NOT EXISTS (SELECT 1 FROM usage_cut c WHERE c.application = usage.application ");
                query.push("AND (c.made_at IS NULL OR usage.hour < c.made_at))");
            }
            Reach::ToApisOf(owner) => {
                query
                    .push("api IN (SELECT id FROM listed INDEXED BY listed_by_owner WHERE kind = 1 AND owner = ")
                    .push_bind(owner)
                    .push(")");
            }
            // A row of usage has neither an owner nor a state.
            Reach::Owned | Reach::OwnedIn(_) => {
                query.push("false");
            }
        }
    }
    query.push(match reaches.len() {
        0 => "false",
        1 => "",
        _ => ")",
    });
}
