//! `import`: writes the rows of policy pages into the database, many at once.
//!
//! A file holds one or more pages as the feed writes them, one after the other. So an operator can import what `curl`
//! saved of a feed, and a generator can write one page per line. The rules for rows are those of `POST /v1/import`
//! ([`management::import`]). A service on the same database keeps serving and changing meanwhile.

mod progress;

use std::{
    error::Error,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use self::progress::{Progress, finish};
use crate::{cli, clock::act, stderr, turn::Held};
use management::{
    import::{Import, Options, Outcome, Place, Row},
    port::{Actor, Kind, Store},
};
use store::Settings;

/// Maximum number of rejected rows that are reported one by one.
const MAX_REPORTS: u64 = 20;

/// The only version of the page format, as pages spell it.
const FORMAT: &str = "1";

/// A page in the file. A member that pages do not have is an error: `denyPolicies` means rows that would be missing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImportPage {
    #[serde(default)]
    format: Option<Box<RawValue>>,
    #[serde(default, rename = "epoch")]
    _epoch: IgnoredAny,
    #[serde(default, rename = "revision")]
    _revision: IgnoredAny,
    #[serde(default, rename = "next")]
    _next: IgnoredAny,
    #[serde(default, rename = "poll")]
    _poll: IgnoredAny,
    #[serde(default, rename = "counts")]
    _counts: IgnoredAny,
    #[serde(default, rename = "confirm_removal")]
    _confirm_removal: IgnoredAny,
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

/// Imports a file.
pub async fn run(arguments: &cli::Import) -> Result<(), Box<dyn Error>> {
    let (reader, bytes): (Box<dyn Read>, Option<u64>) = if arguments.file == Path::new("-") {
        (Box::new(io::stdin()), None)
    } else {
        let file = File::open(&arguments.file)
            .map_err(|error| format!("{} cannot be opened: {error}", arguments.file.display()))?;
        let bytes = file.metadata().ok().map(|metadata| metadata.len());
        (Box::new(file), bytes)
    };
    let cli::Import { dry_run, replace, lift_blocks, .. } = *arguments;
    let options = Options { dry_run, replace, lift_blocks, ..Options::default() };
    let store = arguments.database.open(Settings { bulk: true, ..Settings::default() }).await?;
    let mut progress = Progress::new(bytes);
    let result = import(&store, options.clone(), BufReader::with_capacity(1 << 20, reader), &mut progress).await;
    store.close().await;
    finish(&progress, &options, &result?)
}

/// Imports all pages, once no other import is under way.
async fn import(
    store: &Store,
    options: Options,
    mut reader: impl BufRead,
    progress: &mut Progress,
) -> Result<Outcome, Box<dyn Error>> {
    if reader.fill_buf()?.starts_with("\u{feff}".as_bytes()) {
        return Err("page 1 begins with a byte order mark (the bytes EF BB BF); write it without".into());
    }
    let told = || stderr::say("another import is under way; this one waits for its end");
    let held = Held::wait(store, None, told).await?;
    let options = Options { holder: held.as_ref().and_then(Held::holder), ..options };
    let reader = progress.count(reader);
    let result = write(store, options, reader, progress).await;
    if let Some(held) = held {
        held.end().await;
    }
    result
}

async fn write(
    store: &Store,
    options: Options,
    reader: impl Read,
    progress: &mut Progress,
) -> Result<Outcome, Box<dyn Error>> {
    let begin = || act(Actor::Import);
    let mut import = Import::new(store, options, &begin, progress);
    for (page, number) in serde_json::Deserializer::from_reader(reader).into_iter::<ImportPage>().zip(1..) {
        let page = page.map_err(|error| format!("page {number} cannot be read: {error}{}", hint(&error)))?;
        if page.base.is_some() || page.removed.is_some() {
            return Err(format!("page {number} is a delta (it has `base` or `removed`); expected a full policy").into());
        }
        if let Some(format) = page.format.as_deref().map(RawValue::get).filter(|format| *format != FORMAT) {
            return Err(format!("page {number} has the format {format}; expected {FORMAT}").into());
        }
        for row in page.rows(number) {
            import.add(row).await?;
        }
    }
    Ok(import.finish().await?)
}

/// What else to say of an error: the lines of `POST /v1/import` look like pages.
fn hint(error: &serde_json::Error) -> &'static str {
    match error.to_string().starts_with("unknown field") {
        true => "; FILE has policy pages, and not rows as POST /v1/import takes them",
        false => "",
    }
}

impl ImportPage {
    /// Its rows. A kind comes after the kinds that it refers to.
    fn rows(self, number: u64) -> impl Iterator<Item = Row> {
        let lists = [
            (Kind::Plan, self.plans),
            (Kind::Api, self.apis),
            (Kind::Application, self.applications),
            (Kind::Key, self.keys),
            (Kind::Subscription, self.subscriptions),
            (Kind::DenyPolicy, self.deny_policies),
        ];
        lists.into_iter().flat_map(move |(kind, rows)| {
            let rows = rows.into_iter().flatten().enumerate();
            rows.map(move |(place, text)| Row::of_page(Place::Page(number, place), kind, text))
        })
    }
}
