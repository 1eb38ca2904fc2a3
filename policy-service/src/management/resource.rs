//! What the six kinds of things have in common: how they are made, shown, changed and listed.
//!
//! A [`Resource`] is what a client sends. Completed with an id and defaults it becomes the row of the feed, and that row
//! has to be good for the filter's own parser, so whatever is accepted is a row that the filter will take.

use keygate::policy::{MAX_APIS, MAX_DENY_POLICIES, MAX_PLANS};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    problem::Problem,
    store::{Change, Kind, NewRow, Store, Version, listed::Column},
};

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
    fn complete(&mut self, held: Option<&Self>) -> Result<(), Problem>;

    /// Checks everything that needs no database; `self` is complete.
    fn check(&self) -> Result<(), Problem>;

    /// What the feed calls it.
    fn identity(&self) -> String {
        self.clone().id().take().unwrap_or_default()
    }

    /// The row of the database; `self` is complete.
    fn row(&self) -> Result<NewRow, Problem>;

    /// What a version of it shows to clients.
    fn shown(version: &Version) -> Result<Self, Problem> {
        serde_json::from_str(&version.document).map_err(|_| damaged())
    }

    /// Fills in, of a complete thing that is about to be put, what follows from the rest of the database.
    fn settle(
        &mut self,
        _change: &mut Change,
        _held: Option<&Self>,
    ) -> impl Future<Output = Result<(), Problem>> + Send {
        async { Ok(()) }
    }

    /// Does to others what follows from its having been changed.
    fn follow_up(&self, _change: &mut Change) -> impl Future<Output = Result<(), Problem>> + Send {
        async { Ok(()) }
    }

    /// Adds to things that are shown what is no part of the policy.
    fn complement(_store: &Store, _items: &mut [Self]) -> impl Future<Output = Result<(), Problem>> + Send {
        async { Ok(()) }
    }

    /// Checks a complete thing against the others of its kind; `held` is the thing that it replaces.
    fn check_beside(
        &self,
        _change: &mut Change,
        _held: Option<&Self>,
    ) -> impl Future<Output = Result<(), Problem>> + Send {
        async { Ok(()) }
    }

    /// Closes a complete thing that a client makes, if it could be a way round a block.
    fn restrain(&mut self, _change: &mut Change) -> impl Future<Output = Result<(), Problem>> + Send {
        async { Ok(()) }
    }

    /// What must be there when it is put.
    fn references(&self) -> Vec<Reference> {
        Vec::new()
    }

    /// Takes it away with what belongs to it; what has to stay of it is returned.
    fn remove(change: &mut Change, held: &Version) -> impl Future<Output = Result<Option<Self>, Problem>> + Send {
        async { Ok(change.remove(held).await.map(|()| None)?) }
    }

    /// Why a thing cannot be created beside one with the same name in the feed; `None`: nothing special.
    fn refuse_again(_held: &Version) -> Option<Problem> {
        None
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
    pub fn missing(&self) -> Problem {
        let Self { field, kind, id } = self;
        Problem::invalid(field, format!("there is no {} with the id {id:?}; create it first", kind.noun()))
    }
}

/// A row of the database with nothing but id and document.
pub fn plain_row<R: Resource>(resource: &R, id: String) -> Result<NewRow, Problem> {
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
pub fn document(row: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_string(row).map_err(|_| damaged())
}

/// What the database holds cannot be shown.
pub fn damaged() -> Problem {
    crate::store::Error::Damaged("a document is not what this program writes").into()
}

/// What became of something that was sent.
#[derive(Debug)]
pub enum Outcome<R> {
    /// It is new.
    Created(R),
    /// It was there just so, or was changed in place.
    Held(R),
}

/// Whose rows are put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client's, one by one.
    Client,
    /// An import's: they were accepted when they were made, and an import of all gives the same policy.
    Import,
}

/// Creates what is sent. What is already there just so is left as it is.
pub async fn create<R: Resource>(change: &mut Change, mut sent: R, origin: Origin) -> Result<Outcome<R>, Problem> {
    let given = sent.id().is_some();
    let id = sent.id().get_or_insert(new_id(R::PREFIX)?).clone();
    sent.complete(None)?;
    sent.check()?;
    if let Some(held) = find_same(change, &sent, given.then_some(id.as_str())).await? {
        if !given {
            *sent.id() = Some(held.id.clone());
        }
        let mut restrained = sent.clone();
        restrained.restrain(change).await?;
        // It may have been made before the block that restrains it now, or after it.
        for mut sent in [sent, restrained] {
            sent.settle(change, Some(&R::shown(&held)?)).await?;
            if held.id == sent.row()?.id && is_just_so(&held, &sent)? {
                return Ok(Outcome::Held(sent));
            }
        }
        return Err(R::refuse_again(&held).unwrap_or_else(|| already_there::<R>(&held.id)));
    }
    check_references(change, &sent).await?;
    if origin == Origin::Client {
        sent.restrain(change).await?;
    }
    sent.settle(change, None).await?;
    insert(change, sent).await.map(Outcome::Created)
}

/// Adds a thing that was made here: its id may be taken, what it names is taken over from another one as it is.
pub async fn add<R: Resource>(change: &mut Change, mut made: R) -> Result<R, Problem> {
    let id = made.id().get_or_insert(new_id(R::PREFIX)?).clone();
    made.complete(None)?;
    made.check()?;
    match find_same(change, &made, Some(&id)).await? {
        Some(held) => Err(already_there::<R>(&held.id)),
        None => insert(change, made).await,
    }
}

async fn insert<R: Resource>(change: &mut Change, complete: R) -> Result<R, Problem> {
    check_room_for(change, R::KIND, 1)?;
    complete.check_beside(change, None).await?;
    change.insert(&complete.row()?).await?;
    Ok(complete)
}

/// What has the id that is given, or the same name in the feed.
async fn find_same<R: Resource>(
    change: &mut Change,
    sent: &R,
    given: Option<&str>,
) -> Result<Option<Version>, Problem> {
    if let Some(id) = given
        && let Some(held) = change.find(R::KIND, id).await?
    {
        return Ok(Some(held));
    }
    Ok(change.find_identity(R::KIND, &sent.identity()).await?)
}

fn is_just_so<R: Resource>(held: &Version, sent: &R) -> Result<bool, Problem> {
    let row = sent.row()?;
    Ok(row.document == held.document && row.kept_block == held.kept_block)
}

/// Replaces the thing with this id.
pub async fn replace<R: Resource>(change: &mut Change, id: &str, mut sent: R) -> Result<R, Problem> {
    let held = change.find(R::KIND, id).await?.ok_or_else(|| Problem::not_found(R::KIND, id))?;
    if sent.id().get_or_insert(id.to_owned()) != id {
        return Err(Problem::invalid("id", "expected the id of the path, or none: an id cannot be changed"));
    }
    let shown = R::shown(&held)?;
    sent.complete(Some(&shown))?;
    sent.check()?;
    sent.settle(change, Some(&shown)).await?;
    if !is_just_so(&held, &sent)? {
        check_references(change, &sent).await?;
        sent.check_beside(change, Some(&shown)).await?;
    }
    put(change, &held, &sent).await?;
    sent.follow_up(change).await?;
    Ok(sent)
}

/// Makes it as an import has it, whether or not it is there.
pub async fn put_any<R: Resource>(change: &mut Change, mut sent: R) -> Result<(), Problem> {
    let given = sent.id().clone();
    match find_same(change, &sent, given.as_deref()).await? {
        Some(held) => replace(change, &held.id, sent).await.map(drop),
        None => create(change, sent, Origin::Import).await.map(drop),
    }
}

/// Puts `sent`, which is complete, in the place of `held`, unless it is just so already. What it names is not looked
/// for: to close something must always be possible.
pub async fn put<R: Resource>(change: &mut Change, held: &Version, sent: &R) -> Result<(), Problem> {
    if is_just_so(held, sent)? {
        return Ok(());
    }
    Ok(change.replace(held, &sent.row()?).await?)
}

async fn check_references<R: Resource>(change: &mut Change, sent: &R) -> Result<(), Problem> {
    for reference in sent.references() {
        // Of a thing that was deleted only its block is there.
        if change.find(reference.kind, &reference.id).await?.is_none_or(|held| held.kept_block.is_some()) {
            return Err(reference.missing());
        }
    }
    Ok(())
}

fn already_there<R: Resource>(id: &str) -> Problem {
    Problem::conflict(format!(
        "there is already another {noun} with the id {id:?}; PUT {path}/{{id}} changes it",
        noun = R::KIND.noun(),
        path = R::PATH
    ))
}

/// Checks that there is room for `more`: the filter holds these decoded and refuses a policy with too many.
pub fn check_room_for(change: &Change, kind: Kind, more: usize) -> Result<(), Problem> {
    let most = match kind {
        Kind::Api => MAX_APIS,
        Kind::Plan => MAX_PLANS,
        Kind::DenyPolicy => MAX_DENY_POLICIES,
        Kind::Application | Kind::Key | Kind::Subscription => return Ok(()),
    };
    if usize::try_from(change.count(kind)).is_ok_and(|count| count.saturating_add(more) <= most) {
        return Ok(());
    }
    Err(Problem::conflict(format!("a gateway takes at most {most} {}", kind.list())))
}

/// A new id: the prefix and 96 random bits.
pub fn new_id(prefix: &str) -> Result<String, Problem> {
    let bytes: [u8; 12] = random()?;
    Ok(bytes.iter().fold(prefix.to_owned(), |id, byte| format!("{id}{byte:02x}")))
}

/// Random bytes from the operating system.
pub fn random<const N: usize>() -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| crate::store::Error::Unavailable(error.to_string()))?;
    Ok(bytes)
}
