//! Lists usage by the hour, in pages, for billing.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    http::problem::Problem,
    routes::list::{self, Items},
};
use management::port::{
    Database,
    sight::Sight,
    usage::{UsageFilter, UsageRow},
};

/// Parameters of the list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// Only usage of this application.
    application: Option<String>,
    /// Only usage of this API.
    api: Option<String>,
    /// Only hours that begin at this time or later, in Unix seconds.
    #[param(value_type = Option<u64>)]
    from: Option<String>,
    /// Only hours that begin before this time, in Unix seconds.
    #[param(value_type = Option<u64>)]
    to: Option<String>,
    /// Items of this page; 100 unless given.
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
    /// `next` of the previous page.
    cursor: Option<String>,
}

/// The number of requests of one application to one API within one hour, with one outcome.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct HourlyUsage {
    /// The first second of the hour, Unix time.
    pub hour: i64,
    /// The application; null if a gateway could not keep combinations apart.
    pub application: Option<String>,
    /// The API; null if the application is null.
    pub api: Option<String>,
    /// The subscription's plan.
    pub plan: Option<String>,
    /// `allowed`, or the reason of the denial.
    pub outcome: String,
    /// Number of requests.
    pub requests: i64,
}

impl From<UsageRow> for HourlyUsage {
    fn from(row: UsageRow) -> Self {
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        Self {
            hour: row.hour,
            application: some(row.application),
            api: some(row.api),
            plan: some(row.plan),
            outcome: row.outcome,
            requests: row.requests,
        }
    }
}

/// The last row of a page.
type Cursor = (String, String, i64, String, String);

/// Answers with the requested page.
pub async fn list(store: &dyn Database, sight: Sight, asked: Asked) -> Result<Items<HourlyUsage>, Problem> {
    let limit = list::limit(asked.limit.as_deref())?;
    let after = asked.cursor.as_deref().map(|text| decode(text).ok_or_else(list::bad_cursor)).transpose()?;
    for (name, given) in [("application", &asked.application), ("api", &asked.api)] {
        list::check_length(name, given.as_deref())?;
    }
    let time = |name, text: Option<String>| text.as_deref().map(|text| list::time(name, text)).transpose();
    let filter = UsageFilter {
        application: asked.application,
        api: asked.api,
        from: time("from", asked.from)?,
        to: time("to", asked.to)?,
        sight,
    };
    let mut rows = store.usage(&filter, after.as_ref(), limit.saturating_add(1)).await?;
    let more = u32::try_from(rows.len()).is_ok_and(|found| found > limit);
    if more {
        rows.pop();
    }
    let next = rows.last().filter(|_| more).map(encode);
    Ok(Items { items: rows.into_iter().map(HourlyUsage::from).collect(), next, total: None })
}

fn encode(row: &UsageRow) -> String {
    let UsageRow { application, api, hour, plan, outcome, .. } = row;
    URL_SAFE_NO_PAD.encode(serde_json::json!([application, api, hour, plan, outcome]).to_string())
}

fn decode(text: &str) -> Option<UsageRow> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (application, api, hour, plan, outcome): Cursor = serde_json::from_slice(&bytes).ok()?;
    Some(UsageRow { application, api, hour, plan, outcome, requests: 0 })
}
