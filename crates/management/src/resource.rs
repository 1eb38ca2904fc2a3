//! What the six kinds of things have in common: how they are filled in, checked, kept and shown.
//!
//! A [`Resource`] is what a client sends. Completed with an id and defaults it becomes the row of the feed, and that row
//! has to be good for the filter's own parser, so whatever is accepted is a row that the filter will take. The hooks
//! are declared in the order in which [`super::pipeline`] calls them.

use serde::{Serialize, de::DeserializeOwned};

use super::error::Error;
use crate::port::{self, Act, Database, Kind, NewRow, Transaction, Version, list::Column};

/// A thing that is managed: what a client sends, and with everything filled in, what it is shown.
pub trait Resource: Clone + DeserializeOwned + Serialize + Send + Sync + 'static {
    /// What it is.
    const KIND: Kind;
    /// The beginning of ids that are made.
    const PREFIX: &'static str;
    /// Where it is managed.
    const PATH: &'static str;
    /// What a list of them can be filtered by.
    const FILTERS: &'static [&'static str] = &[];
    /// The states that it can be in, as a list is asked for them.
    const STATES: &'static [&'static str] = &[];
    /// The types that it can be of, as a list is asked for them.
    const TYPES: &'static [&'static str] = &[];
    /// What a list of them can be sorted by, besides their ids and their latest change.
    const SORTS: &'static [(&'static str, Column)] = &[];
    /// Whether it is compared with others of its kind ([`Resource::check_beside`]), so that many cannot be put at once.
    const COMPARED: bool = false;

    /// Its id, if the client gives one.
    fn id(&mut self) -> &mut Option<String>;

    /// Names the version that is shown ([`super::tag`]); no part of the row.
    fn etag(&mut self) -> &mut Option<String>;

    /// Fills in what was left out: from the thing that it replaces where a default could open what was closed (a state),
    /// else with the defaults.
    fn fill_defaults(&mut self, held: Option<&Self>) -> Result<(), Error>;

    /// Checks everything that needs no database; `self` is complete.
    fn validate(&self) -> Result<(), Error>;

    /// What the feed calls it.
    fn identity(&self) -> String {
        self.clone().id().take().unwrap_or_default()
    }

    /// The row of the database; `self` is complete.
    fn row(&self) -> Result<NewRow, Error>;

    /// What a version of it shows to clients.
    fn shown(version: &Version) -> Result<Self, Error> {
        serde_json::from_str(&version.document).map_err(|_| damaged())
    }

    /// What must be there when it is put.
    fn references(&self) -> Vec<Reference> {
        Vec::new()
    }

    /// Closes a complete thing that a client makes, if it could be a way round a block.
    fn restrain(&mut self, _change: &mut dyn Transaction) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }

    /// Fills in, of a complete thing that is about to be put, what follows from the rest of the database.
    fn derive_from_database(
        &mut self,
        _change: &mut dyn Transaction,
        _held: Option<&Self>,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }

    /// Checks a complete thing against the others of its kind; `held` is the thing that it replaces.
    fn check_beside(
        &self,
        _change: &mut dyn Transaction,
        _held: Option<&Self>,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }

    /// Why a thing cannot be created beside one with the same name in the feed; `None`: nothing special.
    fn refuse_again(_held: &Version) -> Option<Error> {
        None
    }

    /// Takes it away with what belongs to it; what has to stay of it is returned.
    fn remove(
        change: &mut dyn Transaction,
        held: &Version,
    ) -> impl Future<Output = Result<Option<Self>, Error>> + Send {
        async { Ok(change.remove(held).await.map(|()| None)?) }
    }

    /// Adds to things that are shown what is no part of the policy.
    fn add_to_view(_store: &dyn Database, _items: &mut [Self]) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }
}

/// Something that another thing names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The field that names it.
    pub field: String,
    /// What it is.
    pub kind: Kind,
    /// Its id.
    pub id: String,
}

impl Reference {
    /// Field `field` names the `kind` with this id.
    pub fn new(field: impl Into<String>, kind: Kind, id: impl Into<String>) -> Self {
        Self { field: field.into(), kind, id: id.into() }
    }

    /// It is not there.
    pub fn missing(&self) -> Error {
        let Self { field, kind, id } = self;
        Error::invalid(field, format!("there is no {} with the id {id:?}; create it first", kind.noun()))
    }
}

/// A row of the database with nothing but id and document.
pub fn plain_row<R: Resource>(resource: &R, id: String) -> Result<NewRow, Error> {
    Ok(NewRow {
        kind: R::KIND,
        identity: resource.identity(),
        id,
        application: None,
        api: None,
        plan: None,
        kept_block: None,
        kept_owner: None,
        state_before: None,
        document: document(resource)?,
    })
}

/// `row` as JSON.
pub fn document(row: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(row).map_err(|_| damaged())
}

/// What the database holds cannot be shown.
pub fn damaged() -> Error {
    port::Error::Damaged("a document is not what this program writes").into()
}

/// Whether a thing is in the database as it was sent, or as it follows from what was sent.
pub(super) fn is_just_so<R: Resource>(held: &Version, sent: &R) -> Result<bool, Error> {
    let row = sent.row()?;
    Ok(row.document == held.document && row.kept_block == held.kept_block)
}

/// Puts `sent`, which is complete, in the place of `held`, unless it is just so already. What it names is not looked
/// for: to close something must always be possible.
pub async fn put<R: Resource>(change: &mut dyn Transaction, held: &Version, sent: &R) -> Result<(), Error> {
    if is_just_so(held, sent)? {
        return Ok(());
    }
    Ok(change.replace(held, &sent.row()?).await?)
}

/// A new id: the prefix and 96 random bits.
pub fn new_id(act: &Act, prefix: &str) -> Result<String, Error> {
    let bytes: [u8; 12] = act.random()?;
    Ok(bytes.iter().fold(prefix.to_owned(), |id, byte| format!("{id}{byte:02x}")))
}
