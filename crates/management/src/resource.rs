//! What the six kinds of objects have in common: how they are completed, validated, stored and shown.
//!
//! A [`Resource`] is the body that a client sends. Completed with an id and defaults, it becomes the row of the feed.
//! The filter's own parser must accept this row, so the filter accepts every row that the service accepts. The hooks
//! are declared in the order in which [`super::pipeline`] calls them.

use serde::{Serialize, de::DeserializeOwned};

use super::error::Error;
use crate::port::{self, Act, Actor, Database, Kind, NewRow, Transaction, Version, list::Column};

/// An object of the management API: as a client sends it, and completed as the service shows it.
pub trait Resource: Clone + DeserializeOwned + Serialize + Send + Sync + 'static {
    /// The kind of object.
    const KIND: Kind;
    /// The prefix of ids that the service makes.
    const PREFIX: &'static str;
    /// The path of its routes.
    const PATH: &'static str;
    /// The parameters that filter its list.
    const FILTERS: &'static [&'static str] = &[];
    /// The states that its list can be filtered by.
    const STATES: &'static [&'static str] = &[];
    /// The state that stands for a stored one that is not among them. Gateways deny, too, what has such a state.
    const CLOSED: &'static str = "";
    /// The types that its list can be filtered by.
    const TYPES: &'static [&'static str] = &[];
    /// The orders of its list, besides id and latest change.
    const SORTS: &'static [(&'static str, Column)] = &[];
    /// Whether it is compared with others of its kind ([`Resource::check_beside`]). Such objects cannot be stored many
    /// at once.
    const COMPARED: bool = false;

    /// Its id, if the client sends one.
    fn id(&mut self) -> &mut Option<String>;

    /// Identifies the version that is shown ([`super::tag`]). It is not part of the row.
    fn etag(&mut self) -> &mut Option<String>;

    /// Sets the owner, and rejects fields that the actor may not set. It gets the object before defaults are filled in;
    /// `held` is the object that is replaced.
    fn claim(&mut self, _actor: &Actor, _held: Option<&Self>) -> Result<(), Error> {
        Ok(())
    }

    /// Fills in missing fields. A field whose default could open what was closed (a state) comes from the object that
    /// is replaced; others get their defaults.
    fn fill_defaults(&mut self, act: &Act, held: Option<&Self>) -> Result<(), Error>;

    /// Takes over from `held`, which has the same name in the feed, what a client that creates it again does not send.
    fn adopt(&mut self, _held: &Self) {}

    /// Checks everything that needs no database. `self` is complete.
    fn validate(&self) -> Result<(), Error>;

    /// Its name in the feed.
    fn identity(&self) -> String {
        self.clone().id().take().unwrap_or_default()
    }

    /// Its database row. `self` is complete.
    fn row(&self) -> Result<NewRow, Error>;

    /// The object that a stored version shows to clients.
    fn shown(version: &Version) -> Result<Self, Error> {
        stored(version, Self::STATES, Self::CLOSED)
    }

    /// The objects that must exist when it is stored.
    fn references(&self) -> Vec<Reference> {
        Vec::new()
    }

    /// Closes a new object of a client if it could be a way round a block. `self` is complete.
    fn restrain(&mut self, _change: &mut dyn Transaction) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }

    /// Whether it could be a way round a block of its owner, if it is new. `self` is complete.
    fn is_open(&self) -> bool {
        false
    }

    /// Whether it is blocked itself. `self` is complete.
    fn is_blocked(&self) -> bool {
        false
    }

    /// Its owner, if its own row names one and blocks of the owner concern it.
    fn owner(&self) -> Option<&str> {
        None
    }

    /// Closes a new object that a block of its owner concerns. `self` is complete.
    fn hold_back(&mut self) {}

    /// Fills in what follows from the rest of the database, before it is stored. `self` is complete.
    fn derive_from_database(
        &mut self,
        _change: &mut dyn Transaction,
        _held: Option<&Self>,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }

    /// Checks it against others of its kind. `self` is complete; `held` is the object that it replaces.
    fn check_beside(
        &self,
        _change: &mut dyn Transaction,
        _held: Option<&Self>,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }

    /// A special reason why it cannot be created again beside `_held`, which has the same name in the feed.
    fn refuse_again(_held: &Version) -> Option<Error> {
        None
    }

    /// Whether nothing else follows from its removal than that it and its usage are gone, if nothing belongs to it. Many
    /// such objects are removed together.
    fn goes_alone(&self) -> bool {
        false
    }

    /// The kept block of an object that was deleted, if what it names may be gone as well. `self` is complete. `owner` is
    /// whom the block concerns.
    fn kept_alone(self, _owner: Option<String>) -> Option<Self> {
        None
    }

    /// Takes the owner that a kept block was sent with. Any other object has none of its own.
    fn take_kept_owner(&mut self) -> Option<String> {
        None
    }

    /// Removes it and everything that belongs to it. Returns what has to stay, a kept block.
    fn remove(
        change: &mut dyn Transaction,
        held: &Version,
    ) -> impl Future<Output = Result<Option<Self>, Error>> + Send {
        async { Ok(change.remove(held).await.map(|()| None)?) }
    }

    /// Adds data that is not part of the policy to objects before they are shown to an actor, and takes away what the actor
    /// may not see.
    fn add_to_view(
        _store: &dyn Database,
        _actor: &Actor,
        _items: &mut [Self],
    ) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }
}

/// A reference to another object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The field with the reference.
    pub field: String,
    /// The kind of the other object.
    pub kind: Kind,
    /// The other object's id.
    pub id: String,
    /// Whether the actor may refer to it without seeing it.
    pub is_offered: bool,
}

impl Reference {
    /// Field `field` refers to the `kind` with this id.
    pub fn new(field: impl Into<String>, kind: Kind, id: impl Into<String>) -> Self {
        Self { field: field.into(), kind, id: id.into(), is_offered: false }
    }

    /// The same for a reference that another rule permits, whether the actor sees the object or not.
    pub fn offered(self) -> Self {
        Self { is_offered: true, ..self }
    }

    /// The error for a reference to an object that does not exist.
    pub fn missing(&self) -> Error {
        let Self { field, kind, id, .. } = self;
        Error::invalid(field, format!("there is no {} with the id {id:?}; create it first", kind.noun()))
    }
}

/// Reads the document of a stored version. A state that is none of `states` is read as `closed`, so that an object which
/// another program or a later version has written can be seen, replaced and deleted.
pub(super) fn stored<T: DeserializeOwned>(version: &Version, states: &[&str], closed: &str) -> Result<T, Error> {
    if let Ok(object) = serde_json::from_str(&version.document) {
        return Ok(object);
    }
    let mut document: serde_json::Value = serde_json::from_str(&version.document).map_err(|_| damaged())?;
    match document.get_mut("state") {
        Some(state) if !state.as_str().is_some_and(|state| states.contains(&state)) => *state = closed.into(),
        _ => return Err(damaged()),
    }
    serde_json::from_value(document).map_err(|_| damaged())
}

/// A database row with only an id and a document.
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
        beside: None,
        due: None,
        document: document(resource)?,
    })
}

/// `row` as JSON.
pub fn document(row: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(row).map_err(|_| damaged())
}

/// The error for a stored document that cannot be shown.
pub fn damaged() -> Error {
    port::Error::Damaged("a document is not what this program writes").into()
}

/// Whether the stored object equals `sent`.
pub(super) fn is_just_so<R: Resource>(held: &Version, sent: &R) -> Result<bool, Error> {
    let row = sent.row()?;
    Ok(row.document == held.document && row.kept_block == held.kept_block && row.beside == held.beside)
}

/// Replaces `held` by `sent`, which is complete, unless they are equal. References are not checked, because closing an
/// object must always be possible.
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
