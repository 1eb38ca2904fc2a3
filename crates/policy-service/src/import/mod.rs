//! `import`: writes the rows of policy pages into the database, many at once.
//!
//! A file holds one or more pages as the feed writes them, one after the other. So an operator can import what `curl`
//! saved of a feed, and a generator can write one page per line. Each batch of [`ROWS_PER_CHANGE`] rows is one change
//! with one revision. A service on the same database keeps serving and changing meanwhile. An import that was
//! interrupted can simply run again. A rejected row is reported with its place and does not affect the others.

mod bulk;
mod progress;

use std::{
    error::Error,
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use self::{bulk::Bulk, progress::Progress};
use crate::cli::Import;
use management::{
    apis::Api, applications::Application, deny_policies::DenyPolicy, error::Error as Refused, keys::Key, plans::Plan,
    port::Store, resource::Resource, subscriptions::Subscription,
};
use store::Settings;

/// Rows in one change. At some 10 µs a row, the import holds the writer for 0.2 s. A service on the same database waits
/// up to 4 s for the writer.
const ROWS_PER_CHANGE: usize = 20_000;
/// Maximum number of rejected rows that are reported one by one.
const MAX_REPORTS: u64 = 20;

/// The only version of the page format, as pages spell it.
const FORMAT: &str = "1";

/// A page in the file. Members other than rows are ignored.
#[derive(Deserialize)]
struct ImportPage {
    #[serde(default)]
    format: Option<Box<RawValue>>,
    #[serde(default)]
    base: Option<u64>,
    #[serde(default)]
    removed: Option<IgnoredAny>,
    #[serde(default)]
    plans: Option<Vec<Box<RawValue>>>,
    #[serde(default)]
    apis: Option<Vec<Box<RawValue>>>,
    #[serde(default)]
    applications: Option<Vec<Box<RawValue>>>,
    #[serde(default)]
    keys: Option<Vec<Box<RawValue>>>,
    #[serde(default)]
    subscriptions: Option<Vec<Box<RawValue>>>,
    #[serde(default)]
    deny_policies: Option<Vec<Box<RawValue>>>,
}

/// A row and its place in the file.
struct Row {
    page: u64,
    place: usize,
    text: Box<RawValue>,
}

/// Rows that wait for their change. A kind comes after the kinds that it refers to.
#[derive(Default)]
struct Rows {
    plans: Vec<Row>,
    apis: Vec<Row>,
    applications: Vec<Row>,
    keys: Vec<Row>,
    subscriptions: Vec<Row>,
    deny_policies: Vec<Row>,
}

/// Imports a file.
pub async fn run(arguments: &Import) -> Result<(), Box<dyn Error>> {
    let (reader, bytes): (Box<dyn Read>, Option<u64>) = if arguments.file == Path::new("-") {
        (Box::new(io::stdin()), None)
    } else {
        let file = File::open(&arguments.file)
            .map_err(|error| format!("{} cannot be opened: {error}", arguments.file.display()))?;
        let bytes = file.metadata().ok().map(|metadata| metadata.len());
        (Box::new(file), bytes)
    };
    let store = arguments.database.open(Settings { bulk: true, ..Settings::default() }).await?;
    let mut progress = Progress::new(bytes);
    let result = import(&store, BufReader::with_capacity(1 << 20, reader), &mut progress).await;
    store.close().await;
    result?;
    progress.finish()
}

async fn import(store: &Store, reader: impl Read, progress: &mut Progress) -> Result<(), Box<dyn Error>> {
    let reader = progress.count(reader);
    let mut bulk = Bulk::new(store, progress);
    let mut waiting = Rows::default();
    // Rows that name an object that does not exist yet wait for the end, because a later page may have it.
    let mut deferred = Rows::default();
    for (page, number) in serde_json::Deserializer::from_reader(reader).into_iter::<ImportPage>().zip(1..) {
        let page = page.map_err(|error| format!("page {number} cannot be read: {error}"))?;
        if page.base.is_some() || page.removed.is_some() {
            return Err(format!("page {number} is a delta (it has `base` or `removed`); expected a full policy").into());
        }
        if let Some(format) = page.format.as_deref().map(RawValue::get).filter(|format| *format != FORMAT) {
            return Err(format!("page {number} has the format {format}; expected {FORMAT}").into());
        }
        waiting.extend(page, number);
        if waiting.len() >= ROWS_PER_CHANGE {
            put(&mut bulk, std::mem::take(&mut waiting), Some(&mut deferred)).await?;
        }
    }
    put(&mut bulk, waiting, Some(&mut deferred)).await?;
    put(&mut bulk, deferred, None).await?;
    Ok(())
}

/// Writes `rows`. A row that names an object that does not exist goes to `deferred`; without `deferred` it is rejected.
async fn put(bulk: &mut Bulk<'_>, rows: Rows, deferred: Option<&mut Rows>) -> Result<(), Refused> {
    let last = deferred.is_none();
    let left = Rows {
        plans: bulk.put::<Plan>(rows.plans, last).await?,
        apis: bulk.put::<Api>(rows.apis, last).await?,
        applications: bulk.put::<Application>(rows.applications, last).await?,
        keys: bulk.put::<Key>(rows.keys, last).await?,
        subscriptions: bulk.put::<Subscription>(rows.subscriptions, last).await?,
        deny_policies: bulk.put::<DenyPolicy>(rows.deny_policies, last).await?,
    };
    // Release the writer, because the next page may take long to arrive.
    bulk.commit().await?;
    if let Some(deferred) = deferred {
        deferred.append(left);
    }
    Ok(())
}

impl Rows {
    fn len(&self) -> usize {
        let Self { plans, apis, applications, keys, subscriptions, deny_policies } = self;
        [plans, apis, applications, keys, subscriptions, deny_policies].iter().map(|rows| rows.len()).sum()
    }

    fn extend(&mut self, page: ImportPage, number: u64) {
        let rows = |rows: Option<Vec<Box<RawValue>>>| {
            rows.into_iter().flatten().enumerate().map(move |(place, text)| Row { page: number, place, text })
        };
        self.plans.extend(rows(page.plans));
        self.apis.extend(rows(page.apis));
        self.applications.extend(rows(page.applications));
        self.keys.extend(rows(page.keys));
        self.subscriptions.extend(rows(page.subscriptions));
        self.deny_policies.extend(rows(page.deny_policies));
    }

    fn append(&mut self, mut other: Self) {
        self.plans.append(&mut other.plans);
        self.apis.append(&mut other.apis);
        self.applications.append(&mut other.applications);
        self.keys.append(&mut other.keys);
        self.subscriptions.append(&mut other.subscriptions);
        self.deny_policies.append(&mut other.deny_policies);
    }
}

impl Row {
    /// The place of the row, for messages.
    fn describe<R: Resource>(&self) -> String {
        format!("page {}, {}[{}]", self.page, R::KIND.list(), self.place)
    }
}
